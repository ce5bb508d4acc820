"""`ParallelIteratorWorker`: the part of a parallel iterator that runs in an actor."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from nbray.util.iter.local import LocalIterator
from nbray.util.iter.metrics import SharedMetrics

Change = Callable[[LocalIterator], LocalIterator]
"""What is done to a shard's iterator."""


class ParallelIteratorWorker:
    """One shard's items. Actors of subclasses are given to `from_actors`.

    Args:
        item_generator: items, or a function that gives them.
        repeat: begin again at the end, for ever.
    """

    def __init__(self, item_generator: Any, repeat: bool) -> None:
        def items() -> Iterable[Any]:
            found: Iterable[Any] = item_generator() if callable(item_generator) else item_generator
            return found

        def again(_timeout: float | None = None) -> Iterator[Any]:
            while True:
                yield from items()

        self._base = again if repeat else lambda _timeout=None: items()
        self._made: LocalIterator | None = None
        self._sliced: dict[int, collections.deque[Any]] = collections.defaultdict(collections.deque)

    def par_iter_init(self, transforms: Sequence[Change]) -> None:
        """Begin at the first item, with these changes."""
        made = LocalIterator(self._base, SharedMetrics())
        for change in transforms:
            made = change(made)
        self._made = made
        self._sliced.clear()

    def par_iter_next(self) -> Any:
        """The next item.

        Raises:
            StopIteration: there is none.
        """
        assert self._made is not None, "must call par_iter_init()"
        return next(self._made)

    def par_iter_next_batch(self, batch_ms: float) -> list[Any]:
        """Items of *batch_ms* milliseconds, one at least; raises as `par_iter_next`."""
        batch = self.par_iter_take(batch_ms)
        if not batch:
            raise StopIteration
        return batch

    def par_iter_take(self, batch_ms: float = 0) -> list[Any]:
        """The same; [] at the end."""
        return self._within(batch_ms, self.par_iter_next)

    def par_iter_slice(self, step: int, start: int) -> Any:
        """The next item of those whose number is *start* modulo *step*.

        Raises:
            StopIteration: there is none.
        """
        mine = self._sliced[start]
        while not mine:
            for number in range(step):
                try:
                    self._sliced[number].append(self.par_iter_next())
                except StopIteration:
                    break
            else:
                continue
            break
        if not mine:
            raise StopIteration
        return mine.popleft()

    def par_iter_slice_batch(self, step: int, start: int, batch_ms: float) -> list[Any]:
        """Items of *batch_ms* milliseconds, one at least; raises as `par_iter_slice`."""
        batch = self.par_iter_slice_take(step, start, batch_ms)
        if not batch:
            raise StopIteration
        return batch

    def par_iter_slice_take(self, step: int, start: int, batch_ms: float = 0) -> list[Any]:
        """The same; [] at the end."""
        return self._within(batch_ms, lambda: self.par_iter_slice(step, start))

    @staticmethod
    def _within(batch_ms: float, following: Callable[[], Any]) -> list[Any]:
        until = time.monotonic() + batch_ms / 1000
        batch: list[Any] = []
        try:
            batch.append(following())
            while time.monotonic() < until:
                batch.append(following())
        except StopIteration:
            pass
        return batch
