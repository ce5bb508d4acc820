"""The books of work that this engine did not submit: what Ray's own libraries, and plain Ray, run.

Owns whose it is and what of it is shown. Pure: it is told of the driver's submissions as they are
made (`submissions`), and of what Ray's head tells (`states`); it asks nobody. Rules:

- A task that the driver submitted belongs to the cell whose code did, one that a task submitted to
  that task's cell, an actor's call to the cell that ran when it was made.
- Counted are tasks and calls; of an actor that works for itself (a trial of Tune, a worker of
  Train) the actor is counted, once, and not its calls.
- Actors of Ray's own modules serve it and are left out, but for those that run users' code.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec

from nbray.engines.ray.states import DONE, FAILED, RUNS, WAITS, ActorSeen, TaskSeen
from nbray.events import CellView, NodeCounts

OURS = ("nbray.", "nbray")
"""Modules whose functions and actors are this engine's own."""
OWN, METHODS = " (nbray)", (".call", ".stream")
"""How the names end in Ray's records of the functions behind this engine's tasks, and of those
behind its actors' calls."""
REPLICA = "ServeReplica:"
"""Serve's actors that run users' code: counted is that they start, for they serve until they are
told to end; Ray records nothing of single requests."""
WORKERS = ("RayTrainWorker",)
"""Ray's actors that work for themselves."""
CARRIERS = ("MapWorker", "_MapWorker", "EnvRunner")
"""What the names of others begin or end with whose calls run users' code."""
SETTLING = 1.0
"""Seconds for which a failed attempt may be followed by another, and for which the process that ran
what its owner says has ended may tell where and when."""
UNSEEN = 30.0
"""Seconds after which what Ray tells no more of is forgotten."""
REMEMBERED = 50_000
"""Tasks that have ended which are remembered, so that they are counted once."""
CELLS = 500
"""Cells that are remembered, and changes of the cell that runs."""


class Unit:
    """A task, a call, or an actor that is counted as one."""

    __slots__ = ("actor", "attempt", "began", "cell", "does", "driver", "ended", "failed", "key",
                 "label", "node", "pid", "seen", "settled")  # fmt: skip

    def __init__(self, key: bytes, cell: str, label: str) -> None:
        self.key = key
        self.cell = cell
        self.label = label
        self.actor = b""
        """Whose call it is, or which it is."""
        self.driver = False
        """The driver submitted it."""
        self.attempt = 0
        self.does = WAITS
        self.began = self.ended = self.seen = self.settled = 0.0
        self.node = ""
        self.pid = 0
        self.failed = self.ended


class Sums:
    """What has ended of one function or actor, on one node, of one cell."""

    __slots__ = ("cancelled", "done", "failed", "work")

    def __init__(self) -> None:
        self.done = self.failed = self.cancelled = 0
        self.work = 0.0


class CellWork:
    """Of one cell."""

    __slots__ = ("began", "last", "longest", "longest_end", "longest_node", "measured", "pids",
                 "started", "sums", "units")  # fmt: skip

    def __init__(self, started: float) -> None:
        self.started = started
        self.last = self.began = self.longest = self.longest_end = 0.0
        self.longest_node = ""
        self.measured = 0
        self.pids: set[tuple[str, int]] = set()
        self.sums: dict[tuple[str, str], Sums] = {}
        """By label and node."""
        self.units: dict[bytes, Unit] = {}
        """What has not ended."""


class ForeignActor:
    """An actor that is not this engine's."""

    __slots__ = ("cell", "dead", "label", "library", "own", "serves", "shown", "whole")

    def __init__(self, cell: str, label: str) -> None:
        self.cell = cell
        self.label = label
        self.own = False
        self.dead = False
        self.library = False
        """Its class is Ray's, or it was made by a library for a trial: it ends with a Stop."""
        self.serves = False
        """It goes on serving when the cell has ended, and others too: no Stop ends it."""
        self.shown = True
        self.whole = False
        """It is counted, and not its calls."""


class Foreign:
    """Of one driver. Its caller has a lock; times are Unix seconds."""

    def __init__(self) -> None:
        self.cells: OrderedDict[str, CellWork] = OrderedDict()
        self.actors: dict[bytes, ForeignActor] = {}
        self._turns: list[tuple[float, str]] = []
        """From when on which cell's code submitted."""
        self._of_tasks: OrderedDict[bytes, str] = OrderedDict()
        """The cells of the driver's own tasks, and of those that were seen."""
        self._over: OrderedDict[bytes, None] = OrderedDict()
        self.unknown: set[bytes] = set()
        """Actors of which calls were told, and nothing else."""
        self.stopped: set[bytes] = set()
        """What a Stop has ended, until its end is told: it was cancelled."""

    # -- what the driver does

    def turn(self, cell: str, now: float) -> None:
        """The code of *cell* submits something."""
        if not self._turns or self._turns[-1][1] != cell:
            self._turns.append((now, cell))
            del self._turns[:-CELLS]

    def submitted(self, task: bytes, cell: str) -> None:
        """*task* was submitted by the code of *cell*."""
        self._of_tasks[task] = cell
        while len(self._of_tasks) > REMEMBERED:
            self._of_tasks.popitem(last=False)

    def made(self, actor: bytes, cell: str, label: str, own: bool) -> None:
        """An actor was made; *label*: of a trial ('': it is none)."""
        known = self.actors[actor] = ForeignActor(cell, label)
        known.own = own
        known.whole = known.library = bool(label)

    # -- what the head tells

    def look(self, tasks: Iterable[TaskSeen], actors: Iterable[ActorSeen], now: float) -> None:
        """Take what the head has told."""
        for actor in actors:
            self._actor(actor, now)
        for task in tasks:
            self._task(task, now)
        for work in self.cells.values():
            for unit in list(work.units.values()):
                if unit.does in {DONE, FAILED} and now - unit.settled >= SETTLING:
                    self._end(work, unit)
                elif now - unit.seen > UNSEEN:
                    del work.units[unit.key]

    def _actor(self, seen: ActorSeen, now: float) -> None:
        known = self.actors.get(seen.actor)
        if known is None:
            known = self.actors[seen.actor] = ForeignActor(self._at(now), "")
            self.unknown.discard(seen.actor)
        if known.own or known.dead:
            return
        known.dead = seen.dead
        if not known.label:
            known.label, known.shown = _shown(seen)
            known.library = seen.module.startswith("ray.")
            known.serves = seen.class_name.startswith(REPLICA)
            known.whole = seen.class_name.startswith((REPLICA, *WORKERS))
        if not (known.whole and known.shown) or seen.actor in self._over:
            return
        work = self._work(known.cell, now)
        unit = work.units.get(seen.actor)
        if unit is None:
            unit = work.units[seen.actor] = Unit(seen.actor, known.cell, known.label)
            unit.actor, unit.driver = seen.actor, True
        unit.seen, unit.node, unit.pid = now, seen.node if seen.pid else "", seen.pid
        if seen.alive and not unit.began:
            unit.does, unit.began = RUNS, now
        if seen.alive and known.serves:
            unit.does, unit.ended = DONE, now
            self._end(work, unit)
        elif seen.dead:
            unit.ended = now
            unit.does = FAILED if seen.failed or unit.failed else DONE
            self._end(work, unit)

    def _task(self, seen: TaskSeen, now: float) -> None:
        if seen.task in self._over or seen.function.endswith(OWN):
            return
        actor = self.actors.get(seen.actor) if seen.actor else None
        if actor is not None and (actor.own or not actor.shown):
            return
        if seen.actor and actor is None:  # another driver's
            self.unknown.add(seen.actor)
            return
        if seen.actor and seen.function != seen.name and seen.function.endswith(METHODS):
            return  # of an actor of this engine's that a task has made
        cell = self._cell(seen)
        if cell is None:
            return
        if actor is not None and actor.whole:
            if seen.does == FAILED and not seen.cancelled and seen.actor not in self._over:
                unit = self._work(actor.cell, now).units.get(seen.actor)
                if unit is not None:
                    unit.failed = now
            return
        work = self._work(cell, seen.created or now)
        unit = work.units.get(seen.task)
        if unit is None:
            label = actor.label if actor is not None and actor.label else seen.name
            if actor is not None and not actor.library:
                label = seen.name
            unit = work.units[seen.task] = Unit(seen.task, cell, label)
            unit.actor, unit.driver = seen.actor, seen.task in self._of_tasks
        unit.seen = now
        if seen.attempt < unit.attempt:
            return
        if seen.attempt > unit.attempt or seen.does != unit.does:
            unit.settled = now
        unit.attempt, unit.does = seen.attempt, seen.does
        unit.node, unit.pid, unit.began, unit.ended = seen.node, seen.pid, seen.began, seen.ended
        if (seen.does == DONE and seen.began) or seen.cancelled:
            self._end(work, unit, seen.cancelled)
        else:
            self._of_tasks.setdefault(seen.task, cell)

    def _cell(self, seen: TaskSeen) -> str | None:
        """Whose *seen* is; None: nobody's here."""
        for one in (seen.task, seen.parent):
            cell = self._of_tasks.get(one)
            if cell is not None:
                return cell
        if not self._turns:
            return None
        return self._at(seen.created)

    def _at(self, when: float) -> str:
        """The cell whose code ran at *when*, as far as it has submitted anything."""
        found = bisect_right(self._turns, when, key=lambda turn: turn[0])
        return self._turns[max(0, found - 1)][1] if self._turns else ""

    def _work(self, cell: str, started: float) -> CellWork:
        work = self.cells.get(cell)
        if work is None:
            work = self.cells[cell] = CellWork(started)
            while len(self.cells) > CELLS:
                self.cells.popitem(last=False)
        return work

    def _end(self, work: CellWork, unit: Unit, cancelled: bool = False) -> None:
        del work.units[unit.key]
        self._over[unit.key] = None
        while len(self._over) > REMEMBERED:
            self._over.popitem(last=False)
        sums = work.sums.setdefault((unit.label, unit.node), Sums())
        stopped = unit.key in self.stopped and (unit.does != DONE or unit.key == unit.actor)
        self.stopped.discard(unit.key)
        if cancelled or stopped:
            sums.cancelled += 1
        elif unit.does == DONE:
            sums.done += 1
        else:
            sums.failed += 1
        ended = unit.ended or unit.seen
        work.last = max(work.last, ended)
        if unit.began and ended >= unit.began:
            took = ended - unit.began
            sums.work += took
            work.measured += 1
            work.began = min(work.began or unit.began, unit.began)
            work.pids.add((unit.node, unit.pid))
            if took > work.longest:
                work.longest, work.longest_node, work.longest_end = took, unit.node, ended

    # -- what is known

    def unfinished(self, cell: str) -> list[Unit]:
        """What of *cell* has not ended."""
        work = self.cells.get(cell)
        return list(work.units.values()) if work is not None else []

    def busy(self) -> list[str]:
        """The cells of which something has not ended."""
        return [cell for cell, work in self.cells.items() if work.units]

    def alive(self) -> bool:
        """Whether any actor may still be called."""
        return any(not one.own and not one.dead for one in self.actors.values())

    def view(
        self, cell: str, now: float, clock: float, number_of: Callable[[str], int],
        name_of: Callable[[str], str], cpus_of: Callable[[str], float],
    ) -> CellView | None:
        """What screens show; *clock*: monotonic seconds at *now*."""
        work = self.cells.get(cell)
        if work is None or not (work.units or work.sums):
            return None
        later = clock - now
        by_node: dict[str, NodeCounts] = {}
        by_label: dict[str, NodeCounts] = {}
        oldest, submitted, cancelled = 0.0, len(work.units), 0
        for (label, node), sums in work.sums.items():
            submitted += sums.done + sums.failed + sums.cancelled
            cancelled += sums.cancelled
            counts = NodeCounts(
                number=0, name=label, done=sums.done, failed=sums.failed,
                cancelled=sums.cancelled, work=sums.work,
            )  # fmt: skip
            by_label[label] = plus(by_label.get(label), counts)
            there = msgspec.structs.replace(counts, number=number_of(node), name=name_of(node))
            by_node[node] = plus(by_node.get(node), there)
        for unit in work.units.values():
            runs = unit.does == RUNS
            counts = NodeCounts(0, unit.label, running=int(runs))
            by_label[unit.label] = plus(by_label.get(unit.label), counts)
            if runs:
                oldest = max(oldest, now - unit.began)
                there = NodeCounts(number_of(unit.node), name_of(unit.node), running=1)
                by_node[unit.node] = plus(by_node.get(unit.node), there)
        nodes = sorted(by_node.values(), key=lambda one: one.number)
        return CellView(
            cell=cell, submitted=submitted, nodes=tuple(nodes), rows=tuple(by_label.values()),
            started=work.started + later, updated=(now if work.units else work.last) + later,
            cancelled=cancelled, measured=work.measured,
            longest=work.longest, longest_node=name_of(work.longest_node),
            longest_end=work.longest_end + later, workers=len(work.pids),
            began=work.began + later if work.began else 0.0,
            cpus=sum(cpus_of(node) for node in by_node), oldest=oldest,
        )  # fmt: skip


def plus(one: NodeCounts | None, more: NodeCounts) -> NodeCounts:
    """The sum of two counts, under the first one's name."""
    if one is None:
        return more
    return NodeCounts(
        number=one.number, name=one.name, done=one.done + more.done,
        running=one.running + more.running, failed=one.failed + more.failed,
        cancelled=one.cancelled + more.cancelled, work=one.work + more.work,
    )  # fmt: skip


def _shown(seen: ActorSeen) -> tuple[str, bool]:
    """(what to call an actor, whether it is shown)."""
    name = seen.class_name
    if seen.module.startswith(OURS):
        return name, False
    if not seen.module.startswith("ray."):
        return name, True
    if name.startswith(REPLICA):  # ServeReplica:application:deployment
        application, _, deployment = name.removeprefix(REPLICA).rpartition(":")
        return f"{deployment} ({application})", True
    for one in CARRIERS:
        if name.startswith(f"{one}(") and name.endswith(")"):  # MapWorker(what it runs)
            return name[len(one) + 1 : -1], True
    return name, name.startswith((*CARRIERS, *WORKERS)) or name.endswith(CARRIERS)
