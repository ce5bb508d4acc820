"""`ParallelIterator`: a stream of items in shards, each of which an actor makes.

Owns which actors there are, what is done to each shard, and how items come together. Does not
own what runs in an actor (`shard`), nor what is done here (`local`).
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from nbray.api import get, wait
from nbray.remote import remote
from nbray.util.iter.local import LocalIterator, Transform
from nbray.util.iter.metrics import SharedMetrics
from nbray.util.iter.shard import Change, ParallelIteratorWorker


class Shard(NamedTuple):
    """An actor, and what it does to its items."""

    actor: Any
    changes: tuple[Change, ...] = ()


def from_items(items: Sequence[Any], num_shards: int = 2, repeat: bool = False) -> ParallelIterator:
    """*items*, dealt out to *num_shards* actors; with *repeat* again and again."""
    kind = type(items[0]).__name__ if items else "None"
    name = f"from_items[{kind}, {len(items)}, shards={num_shards}{_repeats(repeat)}]"
    return from_iterators([items[at::num_shards] for at in range(num_shards)], repeat, name)


def from_range(n: int, num_shards: int = 2, repeat: bool = False) -> ParallelIterator:
    """0 to *n* - 1, each of *num_shards* actors a piece of it; with *repeat* again and again."""
    piece = n // num_shards
    ends = [piece * (at + 1) for at in range(num_shards)]
    ends[-1] = n
    ranges = [range(piece * at, end) for at, end in enumerate(ends)]
    name = f"from_range[{n}, shards={num_shards}{_repeats(repeat)}]"
    return from_iterators(ranges, repeat, name)


def from_iterators(
    generators: Iterable[Any], repeat: bool = False, name: str | None = None
) -> ParallelIterator:
    """An actor for each of *generators*: items, or functions that give them."""
    kind = remote(ParallelIteratorWorker)
    actors = [kind.remote(one, repeat) for one in generators]
    return from_actors(actors, name or f"from_iterators[shards={len(actors)}{_repeats(repeat)}]")


def from_actors(actors: Iterable[Any], name: str | None = None) -> ParallelIterator:
    """The items of actors whose classes are subclasses of `ParallelIteratorWorker`."""
    shards = [Shard(one) for one in actors]
    return ParallelIterator(shards, name or f"from_actors[shards={len(shards)}]")


def _repeats(repeat: bool) -> str:
    return ", repeat=True" if repeat else ""


class ParallelIterator:
    """Items in shards; what is done to them is done where they are.

    `gather_sync()`, `gather_async()` and `get_shard(n)` give iterators here.
    """

    def __init__(self, shards: Sequence[Shard], name: str, parents: Sequence[Any] = ()) -> None:
        self._shards = list(shards)
        self._parents = parents
        """Whose actors have to live as long as this."""
        self.name = name

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "You must use it.gather_sync() or it.gather_async() to iterate over the results of a "
            "ParallelIterator."
        )

    def __repr__(self) -> str:
        return f"ParallelIterator[{self.name}]"

    def _with(self, change: Change, name: str) -> ParallelIterator:
        shards = [Shard(one.actor, (*one.changes, change)) for one in self._shards]
        return ParallelIterator(shards, self.name + name, self._parents)

    def transform(self, fn: Transform) -> ParallelIterator:
        """What *fn*, a generator over all items of a shard, makes of them."""
        return self._with(lambda local: local.transform(fn), ".transform()")

    def for_each(
        self, fn: Callable[[Any], Any], max_concurrency: int = 1, resources: Any = None
    ) -> ParallelIterator:
        """`fn(item)` for each item (see `LocalIterator.for_each`)."""
        if max_concurrency < 0:
            raise ValueError("max_concurrency must be at least 0 (as many as there are)")
        return self._with(
            lambda local: local.for_each(fn, max_concurrency, resources), ".for_each()"
        )

    def filter(self, fn: Callable[[Any], bool]) -> ParallelIterator:
        """The items for which *fn* is true."""
        return self._with(lambda local: local.filter(fn), ".filter()")

    def batch(self, n: int) -> ParallelIterator:
        """Lists of *n* items of a shard; its last may have less."""
        return self._with(lambda local: local.batch(n), f".batch({n})")

    def flatten(self) -> ParallelIterator:
        """The items of items that are lists."""
        return self._with(lambda local: local.flatten(), ".flatten()")

    def combine(self, fn: Callable[[Any], list[Any]]) -> ParallelIterator:
        """All items of the lists that *fn* gives."""
        return self._with(lambda local: local.combine(fn), ".combine()")

    def local_shuffle(self, shuffle_buffer_size: int, seed: int | None = None) -> ParallelIterator:
        """The items of each shard in disorder (see `LocalIterator.shuffle`)."""
        return self._with(
            lambda local: local.shuffle(shuffle_buffer_size, seed),
            f".local_shuffle(shuffle_buffer_size={shuffle_buffer_size}, seed={seed})",
        )

    def repartition(self, num_partitions: int, batch_ms: int = 0) -> ParallelIterator:
        """The same items, dealt out to *num_partitions* actors."""
        self._begin()
        actors = [one.actor for one in self._shards]

        def part(at: int) -> Callable[[], Iterator[Any]]:
            def pull() -> Iterator[Any]:
                def ask(actor: Any) -> Any:
                    return actor.par_iter_slice_take.remote(num_partitions, at, batch_ms)

                for _, batch in _as_they_come(actors, ask, 1):
                    yield from batch

            return pull

        made = from_iterators([part(at) for at in range(num_partitions)])
        name = f"{self.name}.repartition[num_partitions={num_partitions}]"
        return ParallelIterator(made._shards, name, [self])

    def union(self, other: ParallelIterator) -> ParallelIterator:
        """The shards of both.

        Raises:
            TypeError: *other* is no ParallelIterator.
        """
        if not isinstance(other, ParallelIterator):
            raise TypeError(f"other must be of type ParallelIterator, got {type(other)}")
        name = f"ParallelUnion[{self}, {other}]"
        return ParallelIterator([*self._shards, *other._shards], name, [self, other])

    def select_shards(self, shards_to_keep: Sequence[int]) -> ParallelIterator:
        """Those shards alone."""
        kept = [self._shards[at] for at in shards_to_keep]
        name = f"{self.name}.select_shards({len(shards_to_keep)} total)"
        return ParallelIterator(kept, name, [self])

    def num_shards(self) -> int:
        """How many shards there are."""
        return len(self._shards)

    # -- here ----------------------------------------------------------------------

    def _begin(self) -> None:
        get([one.actor.par_iter_init.remote(list(one.changes)) for one in self._shards])

    def _here(self, base: Callable[[LocalIterator], Iterator[Any]], name: str) -> LocalIterator:
        """An iterator of what *base* gives, for which it may note which actor an item is of."""
        made: list[LocalIterator] = []

        def items(_timeout: float | None = None) -> Iterator[Any]:
            self._begin()
            return base(made[0])

        made.append(LocalIterator(items, SharedMetrics(), name=f"{self}{name}"))
        return made[0]

    def gather_sync(self) -> LocalIterator:
        """The items, one of each shard by turns."""
        made = self.batch_across_shards().flatten()
        made.name = f"{self}.gather_sync()"
        return made

    def batch_across_shards(self) -> LocalIterator:
        """Lists of one item of each shard that has one."""

        def base(_made: LocalIterator) -> Iterator[list[Any]]:
            actors = [one.actor for one in self._shards]
            while actors:
                batches = get([actor.par_iter_take.remote() for actor in actors])
                items = [item for batch in batches for item in batch]
                if items:
                    yield items
                actors = [one for one, batch in zip(actors, batches, strict=True) if batch]

        return self._here(base, ".batch_across_shards()")

    def gather_async(self, batch_ms: int = 0, num_async: int = 1) -> LocalIterator:
        """The items as they come.

        Args:
            batch_ms: a shard sends what it has made in so many milliseconds together.
            num_async: so many calls ahead for each actor.

        Raises:
            ValueError: *num_async* is less than one, or *batch_ms* negative.
        """
        if num_async < 1:
            raise ValueError("queue depth must be positive")
        if batch_ms < 0:
            raise ValueError("batch time must be positive")

        def base(made: LocalIterator) -> Iterator[Any]:
            actors = [one.actor for one in self._shards]
            found = _as_they_come(actors, lambda one: one.par_iter_take.remote(batch_ms), num_async)
            for actor, batch in found:
                for item in batch:
                    made.shared_metrics.get().current_actor = actor
                    yield item

        return self._here(base, ".gather_async()")

    def get_shard(
        self, shard_index: int, batch_ms: int = 0, num_async: int = 1
    ) -> LocalIterator:
        """The items of one shard, in order; see `gather_async`."""
        if num_async < 1:
            raise ValueError("num async must be positive")
        if batch_ms < 0:
            raise ValueError("batch time must be positive")
        name = f"{self.name}.shard[{shard_index}]"
        one = self._shards[shard_index]

        def items(_timeout: float | None = None) -> Iterator[Any]:
            get(one.actor.par_iter_init.remote(list(one.changes)))
            ahead = collections.deque(
                one.actor.par_iter_take.remote(batch_ms) for _ in range(num_async)
            )
            while batch := get(ahead.popleft()):
                ahead.append(one.actor.par_iter_take.remote(batch_ms))
                yield from batch

        return LocalIterator(items, SharedMetrics(), name=name)

    def shards(self) -> list[LocalIterator]:
        """The items of each shard, in order."""
        return [self.get_shard(at) for at in range(self.num_shards())]

    def take(self, n: int) -> list[Any]:
        """The first *n* items."""
        return self.gather_sync().take(n)

    def show(self, n: int = 20) -> None:
        """Print the first *n* items."""
        self.gather_sync().show(n)


def _as_they_come(
    actors: Sequence[Any], ask: Callable[[Any], Any], ahead: int
) -> Iterator[tuple[Any, list[Any]]]:
    """(actor, what it answered), as answers come, until each has answered with nothing."""
    asked = {ask(actor): actor for actor in actors for _ in range(ahead)}
    while asked:
        (ready, *_), _ = wait(list(asked))
        actor = asked.pop(ready)
        batch = get(ready)
        if batch:
            asked[ask(actor)] = actor
            yield actor, batch
