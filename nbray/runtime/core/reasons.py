"""Why a client's work waits, a sentence for each cause, by cell.

Owns the words under the bars: '3 waiting: need 1 GPU; lab has 0 of 2 free'. Does
not own the causes: nodes tell what a shape lacks (`spread`), the head what became of
an actor. Read from any thread, by screens only; it looks at copies.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nbray.options import UNIT
from nbray.runtime.core.placement import why_waiting
from nbray.wire.messages import PENDING, RESTARTING, NodeInfo, Picture, Shape

if TYPE_CHECKING:
    from nbray.runtime.core.actors import ActorLink
    from nbray.runtime.core.client import ClientBrain

PATIENCE = 5.0
"""Seconds that work waits before it is explained, where it may well go on by itself."""
_OTHERS = "need what other tasks have not made yet"


def reasons(
    brain: ClientBrain, running: dict[str, dict[int, int]], now: float
) -> dict[str, list[str]]:
    """Sentences by cell; *running* as `ClientBrain.cells` counts it."""
    found: dict[str, list[str]] = {}
    for pool in list(brain.tasks.pools.active.values()):
        if pool.waiting:
            cells = Counter(task.work.spec.cell for task in list(pool.queue) if not task.cancelled)
            for cell, count in cells.items():
                found.setdefault(cell, []).append(f"{count:,} waiting: {pool.waiting}")
    alike: Counter[tuple[str, str]] = Counter()
    for link in list(brain.actors.links.values()):
        why = _actor(brain, link, now)
        if why:
            queue = [task for task in list(link.queue) if not task.cancelled]
            alike.update((task.work.spec.cell, why) for task in queue)
    for (cell, why), count in alike.items():
        found.setdefault(cell, []).append(f"{count:,} waiting: {why}")
    for tally in list(brain.tallies.values()):
        quiet = max(tally.last, tally.started)
        if tally.open and tally.cell not in found and now >= quiet + PATIENCE:
            count = _without_arguments(brain, tally.cell)
            if count and not running.get(tally.cell):
                found[tally.cell] = [f"{count:,} waiting: {_OTHERS}"]
    return found


def _actor(brain: ClientBrain, link: ActorLink, now: float) -> str:
    """Why calls to this actor wait ('': they do not, or not for long)."""
    if not link.queue:
        return ""
    if link.waits and link.state in (PENDING, RESTARTING):
        return f"{link.name} has not started; {link.waits}"
    if link.state == RESTARTING:
        return f"{link.name} is restarting" + (f"; {link.cause}" if link.cause else "")
    if link.state == PENDING and link.since and now >= link.since + PATIENCE:
        needs = _needs(brain.picture, link.needs)
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


def _without_arguments(brain: ClientBrain, cell: str) -> int:
    tasks = brain.unfinished(cell)
    return sum(1 for task in tasks if task.missing and task.lease is None)
