"""How many items the next chunk of a map gets. Pure: it is told what was measured.

Owns the policy of `nbray.util.map`. Does not own items or tasks (`mapping`).

Rules. The first chunks have one item. While items are short, chunks grow by at
most `GROWTH` a step towards `seconds` of work; when an item turns out longer,
they shrink at once. Towards the end (where that is known) chunks become small,
so that no worker has all the rest.
"""

from __future__ import annotations

SECONDS = 0.03
"""Work in one chunk: long beside a task's own cost, short for whoever waits for results."""
GROWTH = 8
"""Times by which a chunk may be larger than the largest that was measured."""
MOST = 50_000
"""Items of a chunk, however short they are."""
BYTES = 4 << 20
"""Bytes of a chunk's items, and of its results, as far as they can be told."""


class Sizes:
    """The sizes of one map's chunks.

    Args:
        workers: how many chunks can run at the same time.
        seconds: work that a chunk should hold.
        most: items of a chunk at most; 1 where nothing may run twice.
    """

    def __init__(self, workers: int, seconds: float = SECONDS, most: int = MOST) -> None:
        self.workers = workers
        self.seconds = seconds
        self.most = most
        self.each = -1.0
        """Seconds an item takes; negative: unknown."""
        self._reach = 1

    def measured(self, items: int, seconds: float) -> None:
        """A chunk has run *items* items in *seconds*."""
        each = seconds / items
        if self.each < 0:
            self.each = each
            self._reach = GROWTH * items
        elif each > 2 * self.each:  # long ones have come: believe it at once
            self.each = each
            self._reach = max(1, self._fitting())
        else:
            self.each += 0.5 * (each - self.each)
            self._reach = max(self._reach, GROWTH * items)

    def weighs(self, size: int) -> None:
        """An item, or a result, has about *size* bytes."""
        self.most = max(1, min(self.most, BYTES // max(1, size)))

    def _fitting(self) -> int:
        return int(self.seconds / max(self.each, 1e-9))

    def next(self, left: int | None) -> int:
        """Items of the next chunk; *left* is how many have not been given out (None: unknown)."""
        if self.each < 0:
            return 1
        size = min(self._fitting(), self._reach, self.most)
        if left is not None:
            size = min(size, -(-left // (2 * self.workers)))
        return max(1, size)
