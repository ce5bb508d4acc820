"""Counting a client's work by cell and by node, in integers, once a batch.

Owns the counters that become `CellView`s, and what other processes have counted
for the same cell: tasks that its tasks launched (`Counted`). Screens read them when
they like; nobody is told of a single task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from nbray.events import CellView, NodeCounts
from nbray.ids import node_of
from nbray.wire.messages import Counted


class Tally:
    """The work of one cell."""

    __slots__ = ("_into", "_kept", "_kept_for", "began", "cancelled", "cell", "cpu", "done",
                 "failed", "held", "items", "job", "last", "longest", "longest_at", "longest_end",
                 "measured", "moved", "nested", "remade", "started", "submitted", "told", "work",
                 "workers", "yielded")  # fmt: skip

    def __init__(self, cell: str, now: float, into: Tally | None = None) -> None:
        """With *into* nobody looks at these counts, but the time that is measured goes there."""
        self._into = into
        self.cell = cell
        self.started = now
        self.began = float("inf")
        """When the first task that was measured began to run."""
        self.submitted = 0
        self.done: dict[int, int] = {}
        self.failed: dict[int, int] = {}
        self.cancelled: dict[int, int] = {}
        """All three by node (0: it never ran)."""
        self.items = 0
        """Of those that ended: counted by `add`."""
        self.work: dict[int, int] = {}
        """Microseconds that tasks took, by node."""
        self.measured = 0
        """How many tasks that were."""
        self.cpu = 0
        """Microseconds of CPU."""
        self.held = 0
        """Microseconds for which workers waited for a CPU."""
        self.moved = 0
        """Microseconds for which they waited for data from other nodes; not in `work`."""
        self.workers: set[int] = set()
        self.yielded = 0
        """Values that have come of its generators."""
        self.remade = 0
        """Of `submitted`: tasks that ran again because what they had made was lost."""
        self.longest = 0
        """Microseconds of the longest task, which ended on `longest_at` at `longest_end`."""
        self.longest_at = 0
        self.longest_end = 0.0
        self.last = 0.0
        """When the last one ended (0: unknown)."""
        self.nested: dict[int, Counted] = {}
        """The latest counts of each process whose tasks of this cell launched others."""
        self.job = 0
        """The driver at the root of the work, if that is another process."""
        self.told = (0, 0)
        """What that driver knows: submitted, left."""
        self._kept: CellView | None = None
        """What a screen shows of a cell whose work is over, and for which counts."""
        self._kept_for: tuple[float, int, int, int] | None = None

    def end(self, node: int, failed: bool, cancelled: bool = False) -> None:
        """One task ended on *node* (0: it never ran)."""
        counts = self.cancelled if cancelled else self.failed if failed else self.done
        counts[node] = counts.get(node, 0) + 1
        self.last = 0.0

    def measure(
        self, worker: int, count: int, micros: int, longest: int, cpu: int, now: float,
        held: int = 0, moved: int = 0,
    ) -> None:  # fmt: skip
        """A batch of *count* tasks ended at *worker*; the times in microseconds."""
        if self._into is not None:
            self._into.measure(worker, 0, micros, 0, cpu, now, held, moved)
            return
        node = node_of(worker)
        self.work[node] = self.work.get(node, 0) + micros
        self.measured += count
        self.cpu += cpu
        self.held += held
        self.moved += moved
        self.workers.add(worker)
        self.last = now
        self.began = min(self.began, now - micros / 1e6)
        if longest > self.longest:
            self.longest, self.longest_at, self.longest_end = longest, node, now

    def add(self, submitted: int, node: int, done: int, failed: int, cancelled: int) -> None:
        """Count what the tasks here do not stand for one by one."""
        self.submitted += submitted
        self.items += done + failed
        for counts, more in (
            (self.done, done), (self.failed, failed), (self.cancelled, cancelled),
        ):
            if more:
                counts[node] = counts.get(node, 0) + more

    def lost(self, worker: int) -> None:
        """A process is gone: what its tasks had launched and nobody counts any more has failed."""
        last = self.nested.get(worker)
        if last is None:
            return
        left = _left(last)
        if not left:
            return
        failed = {**last.failed, 0: last.failed.get(0, 0) + left}
        self.nested[worker] = msgspec.structs.replace(last, failed=failed, running={})
        self.last = 0.0

    @property
    def shown(self) -> Tally:
        """The counts that people see, to which these belong."""
        return self._into or self

    @property
    def left(self) -> int:
        """Tasks that have not ended."""
        ended = (self.done, self.failed, self.cancelled)
        return self.submitted - sum(sum(counts.values()) for counts in ended)

    @property
    def open(self) -> bool:
        """Whether work is left."""
        return self.left > 0

    def view(
        self, running: dict[int, int], names: Callable[[int], str], now: float,
        waiting: tuple[str, ...] = (), cpus: Mapping[int, float] | None = None,
        oldest: float = 0.0,
    ) -> CellView:  # fmt: skip
        """What a screen shows; *running* is tasks at workers, by node, *cpus* what each has.

        A cell whose work is over is drawn up once: hundreds of them may be remembered.
        """
        nested = list(self.nested.values())
        if not self.last and self.submitted and not (self.open or running):
            self.last = now  # it ended with a failure that brought no time: as good as now
        over = bool(self.last and not (running or waiting or self.open or any(map(_left, nested))))
        counts = (self.last, self.submitted, self.items, sum(one.submitted for one in nested))
        kept = self._kept
        if kept is not None and over and counts == self._kept_for and _named(kept, names):
            return kept
        view = self._view(running, names, now, waiting, cpus or {}, oldest)
        if over:
            self._kept, self._kept_for = view, counts
        return view

    def _view(
        self, running: dict[int, int], names: Callable[[int], str], now: float,
        waiting: tuple[str, ...], cpus: Mapping[int, float], oldest: float,
    ) -> CellView:  # fmt: skip
        done, failed, cancelled, nested = self.done, self.failed, self.cancelled, 0
        cpu = self.cpu
        for one in list(self.nested.values()):
            done, failed = _plus(done, one.done), _plus(failed, one.failed)
            cancelled, running = _plus(cancelled, one.cancelled), _plus(running, one.running)
            nested += one.submitted
            cpu += one.cpu
        numbers = sorted({*done, *failed, *cancelled, *running} - {0})
        over = self.last and not self.open
        nodes = tuple(
            NodeCounts(
                number,
                names(number),
                done.get(number, 0),
                running.get(number, 0),
                failed.get(number, 0),
                cancelled.get(number, 0),
                self.work.get(number, 0) / 1e6,
            )
            for number in numbers
        )
        return CellView(
            cell=self.cell,
            submitted=self.submitted + nested,
            nodes=nodes,
            started=self.started,
            began=self.began if self.work else 0.0,
            updated=self.last if over else now,
            waiting=waiting,
            cancelled=sum(cancelled.values()),
            lost=failed.get(0, 0),
            measured=self.measured + self.items,
            cpu=cpu / 1e6,
            longest=self.longest / 1e6,
            longest_node=names(self.longest_at) if self.longest_at else "",
            longest_end=self.longest_end,
            workers=len(self.workers),
            items=self.items,
            nested=nested,
            held=self.held / 1e6,
            moved=self.moved / 1e6,
            cpus=sum(cpus.get(number, 0.0) for number in numbers),
            oldest=oldest,
            yielded=self.yielded,
            remade=self.remade,
        )


def _left(one: Counted) -> int:
    """Tasks launched by a process that have not ended."""
    ended = (one.done, one.failed, one.cancelled)
    return one.submitted - sum(sum(counts.values()) for counts in ended)


def _named(view: CellView, names: Callable[[int], str]) -> bool:
    """Whether the nodes in *view* are still called so: another of the name may have joined."""
    return all(one.name == names(one.number) for one in view.nodes)


def _plus(first: dict[int, int], second: dict[int, int]) -> dict[int, int]:
    return {node: first.get(node, 0) + second.get(node, 0) for node in {*first, *second}}
