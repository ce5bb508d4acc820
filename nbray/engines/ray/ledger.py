"""The books of a driver's work by cell: which calls are known, where they run, how they ended.

Owns the counts that become `CellView`s. Pure: it is told of submissions, of what workers tell
(`told`) and of what Ray says of references; it asks nobody. Rules: a call is counted once, whatever
comes twice; what is told of a call before it is known here is kept until it is; a call of which no
process tells any more is `unsure`, and whoever can ask Ray settles it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from typing import Any

from nbray.engines.ray import told
from nbray.events import CellView, NodeCounts

REMEMBERED = 500
"""Cells whose work is over that are remembered."""
EARLY = 50_000
"""Ends that are kept of calls which are not known yet."""
RECENT = 500
"""Calls that are remembered when they have ended, for screens."""
QUIET = 0.4
"""Seconds after which a call that tells nothing is asked about."""


class CellCall:
    """One that has not ended, or has of late."""

    __slots__ = ("asked", "began", "cell", "counted", "ended", "held", "how", "known", "main",
                 "method", "name", "node", "number", "pid", "ready", "submitted",
                 "told", "why")  # fmt: skip

    def __init__(self, number: int, cell: str, name: str, counted: bool, now: float) -> None:
        self.number = number
        self.cell = cell
        self.name = name
        self.counted = counted
        self.submitted = now
        self.known = False
        """It was submitted here, or whoever submitted it has told."""
        self.held: Callable[[], Any] = _nothing
        """Gives what holds Ray's reference of its return, while anything does."""
        self.node = ""
        """Where it runs or ran ('': it has not begun)."""
        self.pid = 0
        self.main = self.method = False
        self.began = 0.0
        self.asked = now
        """When Ray was last asked about it."""
        self.ready = 0.0
        """When Ray first said that it has ended, while no process had told."""
        self.ended = 0.0
        self.told = False
        """Its process has told of its end; else Ray has."""
        self.how = -1
        self.why = ""


def _nothing() -> None:
    return None


class Work:
    """The work of one cell."""

    __slots__ = ("began", "calls", "cancelled", "cell", "cpu", "done", "failed", "items", "last",
                 "longest", "longest_end", "longest_node", "measured", "nested", "started",
                 "submitted", "work", "workers", "yielded")  # fmt: skip

    def __init__(self, cell: str, now: float) -> None:
        self.cell = cell
        self.started = now
        self.submitted = 0
        self.nested = 0
        self.yielded = 0
        self.done: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self.cancelled: dict[str, int] = {}
        """All three by node ('': it never ran, or nobody knows where)."""
        self.items = 0
        self.work: dict[str, int] = {}
        self.measured = 0
        self.cpu = 0
        self.workers: set[tuple[str, int]] = set()
        self.longest = 0
        self.longest_node = ""
        self.longest_end = 0.0
        self.began = 0.0
        self.last = 0.0
        self.calls: dict[int, CellCall] = {}
        """Those that have not ended, by number."""

    @property
    def left(self) -> int:
        """Counted tasks that have not ended."""
        ended = (self.done, self.failed, self.cancelled)
        return max(0, self.submitted - sum(sum(counts.values()) for counts in ended))

    def count(self, node: str, done: int = 0, failed: int = 0, cancelled: int = 0) -> None:
        """So many have ended on *node*."""
        for counts, more in (
            (self.done, done), (self.failed, failed), (self.cancelled, cancelled),
        ):  # fmt: skip
            if more:
                counts[node] = counts.get(node, 0) + more


class Ledger:
    """Of one driver. Its caller has a lock."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, Work] = OrderedDict()
        self._calls: dict[int, CellCall] = {}
        self._early: OrderedDict[int, tuple[told.Ended, str, int]] = OrderedDict()
        self.recent: OrderedDict[int, CellCall] = OrderedDict()
        """Calls that have ended of late, the latest last."""
        self.places: dict[tuple[str, int], tuple[str, str]] = {}
        """(node, process) to (cell, name) of the call that began there last."""

    # -- what happens

    def submitted(
        self, cell: str, number: int, name: str, counted: bool, now: float,
        held: Callable[[], Any] = _nothing, nested: bool = False,
    ) -> None:  # fmt: skip
        """A call was submitted on behalf of *cell*."""
        work = self.work(cell, now)
        if counted:
            work.submitted += 1
            work.nested += nested
            work.last = 0.0
        call = self._calls.get(number)
        if call is None:
            call = self._calls[number] = CellCall(number, cell, name, counted, now)
            work.calls[number] = call
        call.known, call.held = True, held
        early = self._early.pop(number, None)
        if early is not None:
            self.ended(*early, now)

    def began(self, event: told.Began, node: str, pid: int, now: float) -> CellCall | None:
        """A call runs; None: it has ended meanwhile."""
        self.places[node, pid] = (event.cell, event.name)
        if event.call in self.recent or event.call in self._early:
            return None  # Ray makes a lost value again
        call = self._calls.get(event.call)
        if call is None:
            call = CellCall(event.call, event.cell, event.name, event.counted, now)
            self._calls[event.call] = call
            self.work(event.cell, now).calls[event.call] = call
        call.name, call.node, call.pid, call.main = event.name, node, pid, event.main
        call.method = event.method
        call.began = call.asked = now
        return call

    def ended(self, event: told.Ended, node: str, pid: int, now: float) -> None:
        """A call has ended, or an attempt of it."""
        work = self.work(event.cell, now)
        call = self._calls.get(event.call)
        late = self.recent.get(event.call)
        if late is not None:
            if not late.told and event.how != told.AGAIN:  # now there is more to say
                self._correct(work, late, event, node)
                self._measure(work, event, node, pid, now)
            return
        if (call is None or not call.known) and event.counted:
            self._early[event.call] = (event, node, pid)
            while len(self._early) > EARLY:
                self._early.popitem(last=False)
            if call is not None:
                self._drop(call)
            return
        self._measure(work, event, node, pid, now)
        if event.how == told.AGAIN:
            if call is not None:
                call.node, call.began, call.asked = "", 0.0, now
            return
        if call is not None:
            call.told = True
            self._settle(call, event.how, node, event.why, now)

    def _correct(self, work: Work, call: CellCall, event: told.Ended, node: str) -> None:
        """A call that Ray said had ended: where, and how, its process tells."""
        if call.counted:
            self._of(work, call.how)[call.node] -= 1
            counts = self._of(work, event.how)
            counts[node] = counts.get(node, 0) + 1
        call.told, call.node, call.how, call.why = True, node, event.how, event.why

    @staticmethod
    def _of(work: Work, how: int) -> dict[str, int]:
        return {told.DONE: work.done, told.CANCELLED: work.cancelled}.get(how, work.failed)

    def _measure(self, work: Work, event: told.Ended, node: str, pid: int, now: float) -> None:
        work.work[node] = work.work.get(node, 0) + event.micros
        work.measured += event.counted
        work.cpu += event.cpu
        work.workers.add((node, pid))
        began = now - event.micros / 1e6
        work.began = min(work.began or began, began)
        if event.counted and event.micros > work.longest:
            work.longest, work.longest_node, work.longest_end = event.micros, node, now
        work.last = now

    def settled(self, number: int, how: int, why: str, now: float) -> None:
        """What Ray says has become of a call of which no process tells."""
        call = self._calls.get(number)
        if call is not None:
            self._settle(call, how, call.node, why, now)

    def _settle(self, call: CellCall, how: int, node: str, why: str, now: float) -> None:
        if call.counted:
            self.work(call.cell, now).count(
                node, how == told.DONE, how == told.FAILED, how == told.CANCELLED
            )
        call.how, call.why, call.ended, call.node = how, why, now, node or call.node
        call.held = _nothing
        self._drop(call)
        self.recent[call.number] = call
        while len(self.recent) > RECENT:
            self.recent.popitem(last=False)

    def _drop(self, call: CellCall) -> None:
        self._calls.pop(call.number, None)
        work = self._works.get(call.cell)
        if work is not None:
            work.calls.pop(call.number, None)

    def gone(self, node: str, pid: int, now: float) -> None:
        """A process has ended: what ran there runs no more, and Ray may try it again."""
        self.places.pop((node, pid), None)
        for call in [one for one in self._calls.values() if (one.node, one.pid) == (node, pid)]:
            call.began, call.asked = 0.0, 0.0
            if not call.known:
                self._drop(call)

    def lost_nodes(self, alive: set[str], now: float) -> None:
        """Only the nodes *alive* are left."""
        for place in [one for one in self.places if one[0] not in alive]:
            self.gone(*place, now)

    def count(
        self, cell: str, submitted: int, node: str, done: int, failed: int, cancelled: int,
        now: float,
    ) -> None:
        """Count for tasks that are not counted one by one."""
        work = self.work(cell, now)
        work.submitted += submitted
        work.items += done + failed
        work.count(node, done, failed, cancelled)
        work.last = now if not submitted else 0.0

    # -- what is known

    def work(self, cell: str, now: float) -> Work:
        """The books of *cell*."""
        work = self._works.get(cell)
        if work is None:
            work = self._works[cell] = Work(cell, now)
            if len(self._works) > REMEMBERED:
                over = [one for one in self._works if not self._works[one].calls]
                for old in over[: len(self._works) - REMEMBERED]:
                    del self._works[old]
        return work

    def unfinished(self, cell: str) -> int:
        """Counted tasks of *cell* that have not ended."""
        work = self._works.get(cell)
        return work.left if work is not None else 0

    def calls(self, cell: str) -> list[CellCall]:
        """What of *cell* has not ended."""
        work = self._works.get(cell)
        return list(work.calls.values()) if work is not None else []

    def call(self, number: int) -> CellCall | None:
        """The unfinished call of this number."""
        return self._calls.get(number)

    def all_calls(self) -> list[CellCall]:
        """What has not ended."""
        return list(self._calls.values())

    def unsure(
        self, now: float, most: int, hurried: Container[str] = ()
    ) -> list[tuple[CellCall, Any]]:
        """(call, what holds its reference): those to ask Ray about, *most* of them.

        *hurried*: cells in which every call is asked about at once.
        """
        found: list[tuple[CellCall, Any]] = []
        for call in self._calls.values():
            if now - call.asked < QUIET and call.cell not in hurried:
                continue
            call.asked = now
            held = call.held()
            if held is not None:
                found.append((call, held))
                if len(found) >= most:
                    break
            elif call.known and call.node and not call.began and now - call.submitted > 10 * QUIET:
                found.append((call, None))  # its process is gone, and nobody holds what it made
        return found

    def by_node(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """How many have ended well, have failed, and run, by node."""
        done: dict[str, int] = {}
        failed: dict[str, int] = {}
        running: dict[str, int] = {}
        for work in self._works.values():
            for node, count in work.done.items():
                done[node] = done.get(node, 0) + count
            for counts in (work.failed, work.cancelled):
                for node, count in counts.items():
                    failed[node] = failed.get(node, 0) + count
        for call in self._calls.values():
            if call.began:
                running[call.node] = running.get(call.node, 0) + 1
        return done, failed, running

    def processes(self) -> dict[str, set[int]]:
        """The processes in which calls run, by node."""
        found: dict[str, set[int]] = {}
        for call in self._calls.values():
            if call.began:
                found.setdefault(call.node, set()).add(call.pid)
        return found

    def views(
        self, now: float, number_of: Callable[[str], int], name_of: Callable[[str], str],
        cpus_of: Callable[[str], float],
    ) -> dict[str, CellView]:
        """What screens show."""
        return {
            cell: _view(work, now, number_of, name_of, cpus_of)
            for cell, work in self._works.items()
        }

    def view(
        self, cell: str, now: float, number_of: Callable[[str], int],
        name_of: Callable[[str], str], cpus_of: Callable[[str], float],
    ) -> CellView | None:
        """The same of one cell."""
        work = self._works.get(cell)
        return _view(work, now, number_of, name_of, cpus_of) if work is not None else None


def _view(
    work: Work, now: float, number_of: Callable[[str], int], name_of: Callable[[str], str],
    cpus_of: Callable[[str], float],
) -> CellView:
    running: dict[str, int] = {}
    oldest = 0.0
    for call in work.calls.values():
        if call.began and call.known and call.counted:
            running[call.node] = running.get(call.node, 0) + 1
            oldest = max(oldest, now - call.began)
    nodes = sorted({*work.done, *work.failed, *work.cancelled, *running} - {""}, key=number_of)
    lost = work.failed.get("", 0)
    unknown = work.done.get("", 0)
    counts = [
        NodeCounts(
            number_of(node), name_of(node), work.done.get(node, 0), running.get(node, 0),
            work.failed.get(node, 0), work.cancelled.get(node, 0), work.work.get(node, 0) / 1e6,
        )
        for node in nodes
    ]  # fmt: skip
    if unknown:  # they have ended well, and no process has told where
        counts.append(NodeCounts(0, "?", unknown))
    over = work.last and not work.left
    return CellView(
        cell=work.cell, submitted=work.submitted, nodes=tuple(counts), started=work.started,
        updated=work.last if over else now, cancelled=sum(work.cancelled.values()), lost=lost,
        measured=work.measured + work.items, cpu=work.cpu / 1e6, longest=work.longest / 1e6,
        longest_node=name_of(work.longest_node) if work.longest_node else "",
        longest_end=work.longest_end, workers=len(work.workers), items=work.items,
        nested=work.nested, began=work.began, cpus=sum(cpus_of(node) for node in nodes),
        oldest=oldest, yielded=work.yielded,
    )  # fmt: skip
