"""Counting a client's work by cell and by node, in integers, once a batch.

Owns the counters that become `CellView`s. Screens read them when they like;
nobody is told of a single task.
"""

from __future__ import annotations

from collections.abc import Callable

from nbray.events import CellView, NodeCounts


class Tally:
    """The work of one cell."""

    __slots__ = ("cancelled", "cell", "done", "failed", "started", "submitted")

    def __init__(self, cell: str, now: float) -> None:
        self.cell = cell
        self.started = now
        self.submitted = 0
        self.done: dict[int, int] = {}
        self.failed: dict[int, int] = {}
        self.cancelled: dict[int, int] = {}
        """All three by node (0: it never ran)."""

    def end(self, node: int, failed: bool, cancelled: bool = False) -> None:
        """One task ended on *node* (0: it never ran)."""
        counts = self.cancelled if cancelled else self.failed if failed else self.done
        counts[node] = counts.get(node, 0) + 1

    def add(self, submitted: int, node: int, done: int, failed: int, cancelled: int) -> None:
        """Count what the tasks here do not stand for one by one."""
        self.submitted += submitted
        for counts, more in (
            (self.done, done), (self.failed, failed), (self.cancelled, cancelled),
        ):
            if more:
                counts[node] = counts.get(node, 0) + more

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
        waiting: tuple[str, ...] = (),
    ) -> CellView:  # fmt: skip
        """What a screen shows; *running* is tasks at workers, by node."""
        numbers = sorted({*self.done, *self.failed, *self.cancelled, *running} - {0})
        nodes = tuple(
            NodeCounts(
                number,
                names(number),
                self.done.get(number, 0),
                running.get(number, 0),
                self.failed.get(number, 0),
                self.cancelled.get(number, 0),
            )
            for number in numbers
        )
        return CellView(
            cell=self.cell,
            submitted=self.submitted,
            nodes=nodes,
            started=self.started,
            updated=now,
            waiting=waiting,
            cancelled=sum(self.cancelled.values()),
            lost=self.failed.get(0, 0),
        )
