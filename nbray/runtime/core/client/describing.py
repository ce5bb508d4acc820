"""What a process says of itself when a detailed screen asks: its tasks, objects, prints.

Owns the reading of a client's tables into records, and the short memory of what was
printed. Does not own the tables, or what only a worker has (`worker.describing`). Rules:
nothing here runs unless somebody looks; an answer costs what it lists, not what there is.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING

from nbray import details as d
from nbray.config import TASKS_REMEMBERED
from nbray.ids import node_of
from nbray.runtime.core.client.objects.objects import (
    FAILED,
    LIFE,
    PENDING,
    READY,
    STORED,
    Entry,
    Objects,
)
from nbray.runtime.core.client.task_records import Task
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.placement import units
from nbray.wire.messages import Describe, Described, Printed, Spec

if TYPE_CHECKING:
    from nbray.runtime.core.client.actor_links import ActorLink
    from nbray.runtime.core.client.actors import Callers
    from nbray.runtime.core.client.brain import ClientBrain
    from nbray.runtime.core.client.tasks import Submitter

SCANNED = 50_000
"""Most objects that one answer looks at."""
MOST_TEXT = 1 << 20
"""Characters of printed text that a driver remembers."""
_STATES = {PENDING: 0, READY: 1, STORED: 2, FAILED: 3}

class Recent:
    """The last pieces of text that came to a driver, counted."""

    def __init__(self) -> None:
        self.count = 0
        self._pieces: deque[tuple[float, Printed]] = deque()
        self._size = 0

    def add(self, piece: Printed, now: float) -> None:
        """Note one that came *now*; the oldest are forgotten."""
        self.count += 1
        self._pieces.append((now, piece))
        self._size += len(piece.text)
        while self._size > MOST_TEXT and len(self._pieces) > 1:
            self._size -= len(self._pieces.popleft()[1].text)

    def after(self, seen: int) -> list[tuple[float, Printed]]:
        """(when it came, piece) beyond the first *seen*, as far as they are remembered."""
        fresh = min(len(self._pieces), max(0, self.count - seen))
        return list(islice(self._pieces, len(self._pieces) - fresh, None))


class Lost:
    """Tasks of a client that ended without a worker's word: cancelled, impossible, crashed.

    They get their time when they are first looked at; nobody else asks for it.
    """

    def __init__(self) -> None:
        self.count = 0
        self._records: deque[d.TaskRecord] = deque(maxlen=TASKS_REMEMBERED)

    def take(self, brain: ClientBrain, now: float) -> None:
        """Note the new ones."""
        ends = brain.tasks.ends
        while ends:
            spec, seq, worker, why, attempt, actor = ends.popleft()
            state = d.FAILED if why else d.CANCELLED
            self.count += 1
            link = brain.actors.links.get(actor) if actor is not None else None
            self._records.append(
                d.TaskRecord(
                    owner=brain.me, seq=seq, name=f"{link.name}.{spec.name}" if link else spec.name,
                    cell=spec.cell, job=spec.job, state=state, worker=worker, ended=now, why=why,
                    attempt=attempt, defined=defined(spec, link.name if link else ""),
                    actor=actor or (0, 0), resources=units(spec.resources), listed=spec.listed,
                )
            )  # fmt: skip

    def after(self, seen: int) -> list[d.TaskRecord]:
        """Those beyond the first *seen*, as far as they are remembered."""
        fresh = min(len(self._records), max(0, self.count - seen))
        return list(islice(self._records, len(self._records) - fresh, None))


def defined(spec: Spec, class_name: str) -> str:
    """The name of what *spec* runs, as it was defined, where its caller gave another ('': none)."""
    if class_name:
        return f"{class_name}.{spec.method}" if spec.method else ""
    return spec.defined


def client(brain: ClientBrain, message: Describe, now: float) -> Described:
    """The answer of a driver, or of a worker as far as it is a client like others."""
    answer: dict[str, object] = {}
    if message.wanted & d.TASKS:
        answer["tasks"] = unfinished(brain.tasks, brain.actors, message.limit)
        answer["unfinished"] = brain.tasks.unfinished
        brain.lost.take(brain, now)
        answer["lost"] = brain.lost.after(message.lost_seen.get(brain.me, 0))
        answer["lost_count"] = brain.lost.count
    if message.wanted & d.OBJECTS:
        rows, answer["object_count"], answer["object_bytes"] = objects(
            brain.objects, message.limit, brain.host.site
        )
        answer["objects"] = rows
        views = islice(brain.host.held_views(), message.limit)
        answer["in_use"] = [(slot.node, slot.generation) for slot in views]
    if message.wanted & d.TEXTS:
        fresh = brain.recent.after(message.texts_seen.get(brain.me, 0))
        answer["texts"] = [
            d.TextRecord(
                node_of(one.sender), one.pid, one.cell, brain.me, one.task, one.stream, one.text,
                at,
            )
            for at, one in fresh
        ]
        answer["texts_count"] = brain.recent.count
    answer["cells"] = [
        d.CellRecord(brain.me, view, brain.host.cell_label(cell))
        for cell, view in brain.cells(now).items()
        if brain.tallies[cell].job in (0, brain.me)  # else its driver tells of it
    ]
    answer["round"] = message.round
    answer["environment"] = brain.environment
    return Described(brain.me, now, message.wanted, **answer)  # type: ignore[arg-type]


def describe(brain: ClientBrain, message: Describe, now: float) -> list[ClientEffect]:
    """Answer as a client."""
    return [Send(message.sender, client(brain, message, now))]


def unfinished(tasks: Submitter, actors: Callers, limit: int) -> list[d.TaskRecord]:
    """At most *limit* tasks and calls that have not ended: first those at workers."""
    me = tasks.me

    def record(
        task: Task, state: int, worker: int = 0, why: str = "", link: ActorLink | None = None
    ) -> d.TaskRecord:
        spec = task.work.spec
        of = link.name if link is not None else ""
        name = f"{of}.{spec.name}" if of else spec.name
        return d.TaskRecord(
            me, task.seq, name, spec.cell, spec.job, state, worker, why=why, attempt=task.attempt,
            defined=defined(spec, of), actor=link.key if link is not None else (0, 0),
            parent=task.parent or (0, 0), resources=units(spec.resources), listed=spec.listed,
        )  # fmt: skip

    pools = list(tasks.pools.active.values())
    links = list(actors.links.values())
    at_workers = (
        record(task, d.SENT, lease.worker)
        for pool in pools
        for lease in pool.leases.values()
        for task in lease.inflight.values()
    )
    at_actors = (
        record(task, d.SENT, link.worker, link=link)
        for link in links
        for task in link.inflight.values()
    )
    queued = (
        record(task, d.QUEUED, why=pool.waiting)
        for pool in pools
        for task in pool.queue
        if not task.cancelled
    )
    calls = (
        record(task, d.WAITING if task.missing else d.QUEUED, why=link.cause, link=link)
        for link in links
        for task in link.queue
        if not task.cancelled
    )
    found = list(islice(chain(at_workers, at_actors, queued, calls), limit))
    if len(found) < min(limit, tasks.unfinished):
        # Those whose arguments are not ready stand in no queue: they are looked for.
        entries = islice(tasks.objects.owned.values(), SCANNED)
        waiting = (
            record(entry.maker, d.WAITING, why="for its arguments")
            for entry in entries
            if entry.state == PENDING and _waits(entry)
        )
        found += islice(waiting, limit - len(found))
    return found


def _waits(entry: Entry) -> bool:
    task = entry.maker
    if not isinstance(task, Task) or task.seq != entry.key[1]:
        return False
    return bool(task.missing) and task.work.pool is not None and not task.cancelled


Site = Callable[[int], tuple[str, str]]
"""Gives (cell, line) by the number of an object."""


def _nowhere(_seq: int) -> tuple[str, str]:
    return "", ""


def objects(
    known: Objects, limit: int, site: Site = _nowhere
) -> tuple[list[d.ObjectRecord], int, int]:
    """(the *limit* largest objects of the client, how many it has, bytes of those looked at)."""
    owned = known.owned
    found: list[tuple[int, Entry]] = []
    used: set[tuple[int, int]] = set()
    total = 0
    for entry in islice(owned.values(), SCANNED):
        if entry.state == PENDING and isinstance(entry.maker, Task):
            used.update(entry.maker.pins)
        if entry.state != LIFE:
            size = _size(entry)
            total += size
            found.append((size, entry))
    largest = heapq.nlargest(limit, found, key=lambda one: one[0])
    count = len(found) + max(0, len(owned) - SCANNED)
    rows = [_object(entry, size, site, entry.key in used) for size, entry in largest]
    return rows, count, total


def holdings(
    known: Objects, unfinished: Iterable[Task], site: Site = _nowhere
) -> list[d.HoldingRecord]:
    """Every object of a client, foreign ones included, and which of its tasks take it."""
    tasks: dict[tuple[int, int], dict[str, None]] = {}
    for task in unfinished:
        spec = task.work.spec
        for key in {*task.pins, *(key for _, key in task.deps or ())}:
            tasks.setdefault(key, {})[spec.name] = None
    entries = islice(chain(known.owned.values(), known.foreign.values()), SCANNED)
    return [
        d.HoldingRecord(
            _object(entry, _size(entry), site, own=entry.key[0] == known.me),
            list(tasks.get(entry.key, ())), list(entry.refs),
        )
        for entry in entries
        if entry.state != LIFE
    ]  # fmt: skip


def _size(entry: Entry) -> int:
    value = entry.value
    if entry.state == READY:
        return len(value)
    if entry.state == STORED and value.slots:
        size: int = value.slots[0].size
        return size
    return 0


def _object(
    entry: Entry, size: int, site: Site, used: bool = False, own: bool = True
) -> d.ObjectRecord:
    value = entry.value
    task = entry.maker if isinstance(entry.maker, Task) else None
    cell, line = site(entry.key[1]) if own else ("", "")
    slots = {slot.node: slot for slot in value.slots} if entry.state == STORED else {}
    nodes = sorted(slots)
    return d.ObjectRecord(
        owner=entry.key[0],
        seq=entry.key[1],
        state=_STATES.get(entry.state, 0),
        size=size,
        nodes=nodes,
        held=entry.count,
        borrowers=len(entry.borrowers or ()),
        maker=task.work.spec.name if task is not None else "",
        cell=task.work.spec.cell if task is not None else cell,
        used=used,
        places=[slots[node].generation for node in nodes],
        site=line,
    )
