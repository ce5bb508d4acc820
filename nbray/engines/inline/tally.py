"""How many tasks each cell has started and ended, as the screens want it."""

from __future__ import annotations

import threading
import time

import msgspec

from nbray.events import CellView, NodeCounts


class Tally:
    """Counts by cell. All methods may be called from any thread."""

    def __init__(self, node_name: str) -> None:
        self._node_name = node_name
        self._lock = threading.RLock()  # references may die inside it
        self._cells: dict[str, CellView] = {}

    def started(self, cell: str) -> None:
        """One more was submitted, and runs."""
        now = time.monotonic()
        with self._lock:
            view = self._cells.get(cell)
            if view is None:
                counts = NodeCounts(1, self._node_name)
                view = CellView(cell, nodes=(counts,), started=now)
            counts = view.nodes[0]
            counts = msgspec.structs.replace(counts, running=counts.running + 1)
            self._cells[cell] = msgspec.structs.replace(
                view, submitted=view.submitted + 1, nodes=(counts,), updated=now
            )

    def ended(self, cell: str, failed: bool, seconds: float = 0.0, cpu: float = 0.0) -> None:
        """One has ended, after *seconds* with *cpu* seconds of CPU."""
        now = time.monotonic()
        with self._lock:
            view = self._cells[cell]
            counts = view.nodes[0]
            counts = msgspec.structs.replace(
                counts,
                running=counts.running - 1,
                done=counts.done + (not failed),
                failed=counts.failed + failed,
                work=counts.work + seconds,
            )
            longest = seconds >= view.longest
            self._cells[cell] = msgspec.structs.replace(
                view, nodes=(counts,), updated=now, measured=view.measured + 1, workers=1,
                cpu=view.cpu + cpu, longest=max(view.longest, seconds),
                longest_node=self._node_name, longest_end=now if longest else view.longest_end,
            )  # fmt: skip

    def yielded(self, cell: str) -> None:
        """A generator of its has yielded a value."""
        with self._lock:
            view = self._cells[cell]
            self._cells[cell] = msgspec.structs.replace(view, yielded=view.yielded + 1)

    def add(self, cell: str, submitted: int, done: int, failed: int, cancelled: int) -> None:
        """Count what tasks that are not counted one by one have done."""
        now = time.monotonic()
        with self._lock:
            view = self._cells.get(cell)
            if view is None:
                view = CellView(cell, nodes=(NodeCounts(1, self._node_name),), started=now)
            counts = view.nodes[0]
            counts = msgspec.structs.replace(
                counts, done=counts.done + done, failed=counts.failed + failed
            )
            self._cells[cell] = msgspec.structs.replace(
                view, submitted=view.submitted + submitted, nodes=(counts,),
                cancelled=view.cancelled + cancelled, updated=now, items=view.items + done + failed,
                measured=view.measured + done + failed,
            )  # fmt: skip

    def cells(self) -> dict[str, CellView]:
        """The counts as they are now."""
        with self._lock:
            return dict(self._cells)

    def totals(self) -> tuple[int, int, int]:
        """(running, done, failed) over all cells."""
        views = self.cells().values()
        return (
            sum(view.running for view in views),
            sum(view.done for view in views),
            sum(view.failed for view in views),
        )
