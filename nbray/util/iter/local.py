"""`LocalIterator`: items here, with what is to be done to each of them.

Owns the chain of functions over one stream of items; the same chain runs in a shard's actor.
Does not own where the items come from.
"""

from __future__ import annotations

import collections
import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

from nbray.util.iter.metrics import MetricsContext, SharedMetrics

Transform = Callable[[Iterable[Any]], Iterable[Any]]
_HERE = threading.local()
MOST_PULLED = 100
"""Items that are taken in a row of an iterator of weight '*'."""


class LocalIterator:
    """Items of one stream, made as they are asked for.

    Args:
        base_iterator: called with a timeout (None) when the first item is asked for.
        shared_metrics: what functions have by `get_metrics`.
        local_transforms: what is done to the stream, in order.
        timeout: given to *base_iterator*.
        name: for people.
    """

    def __init__(
        self, base_iterator: Callable[..., Iterable[Any]], shared_metrics: SharedMetrics,
        local_transforms: Sequence[Transform] = (), timeout: float | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        self.base_iterator = base_iterator
        self.shared_metrics = shared_metrics
        self.local_transforms = list(local_transforms or ())
        self.timeout = timeout
        self.name = name or "unknown"
        self._built: Iterator[Any] | None = None

    @staticmethod
    def get_metrics() -> MetricsContext:
        """The context of the iterator whose function runs.

        Raises:
            ValueError: none runs.
        """
        found: MetricsContext | None = getattr(_HERE, "metrics", None)
        if found is None:
            raise ValueError("Cannot access context outside an iterator.")
        return found

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._built is None:
            stream = self.base_iterator(self.timeout)
            for transform in self.local_transforms:
                stream = transform(stream)
            self._built = iter(stream)
        outer = getattr(_HERE, "metrics", None)
        _HERE.metrics = self.shared_metrics.get()
        try:
            return next(self._built)
        finally:
            _HERE.metrics = outer

    def __repr__(self) -> str:
        return f"LocalIterator[{self.name}]"

    def _with(self, transform: Transform, name: str) -> LocalIterator:
        return LocalIterator(
            self.base_iterator, self.shared_metrics, [*self.local_transforms, transform],
            name=self.name + name,
        )  # fmt: skip

    def transform(self, fn: Transform) -> LocalIterator:
        """What *fn*, a generator over the whole stream, makes of it."""
        return self._with(fn, ".transform()")

    def for_each(
        self, fn: Callable[[Any], Any], max_concurrency: int = 1, resources: Any = None
    ) -> LocalIterator:
        """`fn(item)` for each item.

        Args:
            max_concurrency: 1: here; else as tasks, so many ahead.
            resources: options of these tasks, `{"num_cpus": 2}`.
        """
        if max_concurrency == 1:
            return self._with(lambda stream: map(fn, stream), ".for_each()")
        if max_concurrency < 0:
            raise ValueError("max_concurrency must be at least 0 (as many as there are)")

        def remotely(stream: Iterable[Any]) -> Iterator[Any]:
            from nbray.api import get
            from nbray.remote import remote

            task = remote(fn)
            task = task.options(**resources) if resources else task
            ahead: collections.deque[Any] = collections.deque()
            for item in stream:
                if max_concurrency and len(ahead) >= max_concurrency:
                    yield get(ahead.popleft())
                ahead.append(task.remote(item))
            while ahead:
                yield get(ahead.popleft())

        return self._with(remotely, ".for_each()")

    def filter(self, fn: Callable[[Any], bool]) -> LocalIterator:
        """The items for which *fn* is true."""
        return self._with(lambda stream: (one for one in stream if fn(one)), ".filter()")

    def batch(self, n: int) -> LocalIterator:
        """Lists of *n* items; the last may have less."""

        def gathered(stream: Iterable[Any]) -> Iterator[list[Any]]:
            items = iter(stream)
            while batch := list(itertools.islice(items, n)):
                yield batch

        return self._with(gathered, f".batch({n})")

    def flatten(self) -> LocalIterator:
        """The items of items that are lists."""
        return self._with(itertools.chain.from_iterable, ".flatten()")

    def shuffle(self, shuffle_buffer_size: int, seed: int | None = None) -> LocalIterator:
        """The items in disorder, each drawn of the next *shuffle_buffer_size*."""

        def drawn(stream: Iterable[Any]) -> Iterator[Any]:
            dice = random.Random(seed)
            kept: list[Any] = []
            for item in stream:
                kept.append(item)
                if len(kept) >= shuffle_buffer_size:
                    yield kept.pop(dice.randrange(len(kept)))
            while kept:
                yield kept.pop(dice.randrange(len(kept)))

        return self._with(
            drawn, f".shuffle(shuffle_buffer_size={shuffle_buffer_size}, seed={seed})"
        )

    def combine(self, fn: Callable[[Any], list[Any]]) -> LocalIterator:
        """All items of the lists that *fn* gives."""
        made = self.for_each(fn).flatten()
        made.name = self.name + ".combine()"
        return made

    def zip_with_source_actor(self) -> LocalIterator:
        """(the actor that made it, the item) for each item."""

        def zipped(item: Any) -> tuple[Any, Any]:
            metrics = LocalIterator.get_metrics()
            if metrics.current_actor is None:
                raise ValueError("Could not identify source actor of item")
            return metrics.current_actor, item

        made = self.for_each(zipped)
        made.name = self.name + ".zip_with_source_actor()"
        return made

    def take(self, n: int) -> list[Any]:
        """The next *n* items, or as many as are left."""
        return list(itertools.islice(self, n))

    def show(self, n: int = 20) -> None:
        """Print the next *n* items."""
        for item in self.take(n):
            print(item)  # noqa: T201 - it is what this is for

    def duplicate(self, n: int) -> list[LocalIterator]:
        """*n* iterators over the same items; what one has read waits for the others.

        Raises:
            ValueError: less than two.
        """
        if n < 2:
            raise ValueError("Number of copies must be >= 2")
        copies = itertools.tee(self, n)
        return [
            LocalIterator(
                lambda _timeout, copy=copy: copy,
                SharedMetrics(parents=[self.shared_metrics]), name=f"{self.name}.duplicate[{at}]",
            )
            for at, copy in enumerate(copies)
        ]  # fmt: skip

    def union(
        self, *others: LocalIterator, deterministic: bool = False,
        round_robin_weights: Sequence[float | str] | None = None,
    ) -> LocalIterator:  # fmt: skip
        """The items of this and others, by turns.

        Args:
            deterministic: without effect: turns they are in any case.
            round_robin_weights: how many of each in a row; '*': up to 100.

        Raises:
            ValueError: one is no LocalIterator, or there are more or fewer weights.
        """
        for other in others:
            if not isinstance(other, LocalIterator):
                raise ValueError(f"other must be of type LocalIterator, got {type(other)}")
        parents = [self, *others]
        if round_robin_weights and len(round_robin_weights) != len(parents):
            raise ValueError("Length of round robin weights must equal number of iterators total.")
        shared = SharedMetrics(parents=[one.shared_metrics for one in parents])
        weights = list(round_robin_weights or [1] * len(parents))

        def turns(_timeout: float | None = None) -> Iterator[Any]:
            left = [(weight, iter(one)) for weight, one in zip(weights, parents, strict=True)]
            while left:
                for turn in list(left):
                    weight, stream = turn
                    for _ in range(_whole(weight)):
                        try:
                            item = next(stream)
                        except StopIteration:
                            left.remove(turn)
                            break
                        yield item

        names = ", ".join(map(str, parents))
        return LocalIterator(turns, shared, name=f"LocalUnion[{names}]")


def _whole(weight: float | str) -> int:
    """A whole number that is *weight* on average."""
    if isinstance(weight, str):
        return MOST_PULLED
    return int(weight) + (random.random() < weight % 1)
