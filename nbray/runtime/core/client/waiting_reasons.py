"""Why a client's work waits, a sentence for each cause, by cell.

Owns the words under the bars: '3 waiting: need 1 GPU; lab has 0 of 2 free'. Does
not own the causes: nodes tell what a shape lacks (`peers`), the head what became of
an actor. Read from any thread, by screens only; it looks at copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from nbray.figures import memory
from nbray.options import UNIT
from nbray.runtime.core.placement import why_waiting
from nbray.wire.messages import PENDING, RESTARTING, NodeInfo, Picture, Shape

if TYPE_CHECKING:
    from nbray.runtime.core.client.actor_links import ActorLink
    from nbray.runtime.core.client.groups import Followed
    from nbray.runtime.core.client.streams import Stream
    from nbray.runtime.core.client.task_records import ShapePool

PATIENCE = 5.0
"""Seconds that work waits before it is explained, where it may well go on by itself."""
_OTHERS = "need what other tasks have not made yet"


def reasons(
    pools: Iterable[ShapePool],
    links: Iterable[ActorLink],
    quiet: Iterable[str],
    unsent: Callable[[str], int],
    picture: Picture | None,
    now: float,
    streams: Iterable[Stream] = (),
    groups: Mapping[str, Followed] | None = None,
    begun: Mapping[str, list[str]] | None = None,
) -> dict[str, list[str]]:
    """Sentences by cell.

    Args:
        pools: where tasks are queued.
        links: the actors that are called.
        quiet: cells that have stood still.
        unsent: counts the tasks of a cell that have not all their arguments yet.
        picture: the cluster as the head has told it.
        now: the time.
        streams: what tasks yield that pause for their readers.
        groups: the placement groups that this client has to do with.
        begun: what is being done so that work can run, by cell.
    """
    begun = begun or {}
    found: dict[str, list[str]] = {cell: list(said) for cell, said in begun.items()}
    for pool in pools:
        waiting = pool.waiting
        if pool.group and groups and (followed := groups.get(pool.group)) is not None:
            waiting = followed.waits or waiting
        if waiting:
            cells = Counter(task.work.spec.cell for task in list(pool.queue) if not task.cancelled)
            for cell, count in cells.items():
                found.setdefault(cell, []).append(f"{count:,} waiting: {waiting}")
    alike: Counter[tuple[str, str]] = Counter()
    for link in links:
        why = _actor(picture, link, now)
        if why:
            queue = [task for task in list(link.queue) if not task.cancelled]
            theirs = [task.work.spec.cell for task in queue]
            if link.state == PENDING and not link.waits:  # a process has it
                theirs = [cell for cell in theirs if cell not in begun]
            alike.update((cell, why) for cell in theirs)
    for (cell, why), count in alike.items():
        found.setdefault(cell, []).append(f"{count:,} waiting: {why}")
    paused = Counter(
        (one.task.work.spec.cell, one.task.work.spec.name, one.most or -one.unread)
        for one in streams if one.waits
    )
    for (cell, name, most), count in paused.items():
        unread = f"{most:,} of its values are" if most > 1 else "one of its values is"
        if most <= 0:
            unread = f"{memory(-most)} of what it has yielded are"
        found.setdefault(cell, []).append(
            f"{count:,} waiting: {name} pauses for its reader; {unread} not taken yet"
        )
    for cell in quiet:
        if cell not in found and (count := unsent(cell)):
            found[cell] = [f"{count:,} waiting: {_OTHERS}"]
    return found


def _actor(picture: Picture | None, link: ActorLink, now: float) -> str:
    """Why calls to this actor wait ('': they do not, or not for long)."""
    if not link.queue:
        return ""
    if link.waits and link.state in (PENDING, RESTARTING):
        return f"{link.name} has not started; {link.waits}"
    if link.state == RESTARTING:
        return f"{link.name} is restarting" + (f"; {link.cause}" if link.cause else "")
    if link.state == PENDING and link.since and now >= link.since + PATIENCE:
        needs = _needs(picture, link.needs)
        # The head alone knows whether it has been placed; a placed one holds what it needs.
        why = f", or it waits: {needs}" if needs else ""
        return f"{link.name} has not started; its __init__ still runs{why}"
    return ""


def _needs(picture: Picture | None, needs: Shape) -> str:
    """What an actor needs and nobody has free ('' if somebody has, or nobody knows)."""
    if picture is None or not any(needs.values()):
        return ""
    nodes = [
        NodeInfo(
            node.number, node.name, node.address, 0, _shape(node.resources), _shape(node.available)
        )
        for node in picture.nodes
        if node.alive
    ]
    return why_waiting(needs, nodes)


def _shape(units: dict[str, float]) -> Shape:
    return {name: round(amount * UNIT) for name, amount in units.items()}
