"""`util.iter`: iterators whose items are made by actors."""

from __future__ import annotations

import pytest
from api import load, ray

iterators = load("util.iter")
from_actors, from_items = iterators.from_actors, iterators.from_items
from_iterators, from_range = iterators.from_iterators, iterators.from_range
LocalIterator = iterators.LocalIterator

pytestmark = pytest.mark.filterwarnings("ignore")


def count(item):
    metrics = LocalIterator.get_metrics()
    metrics.counters["seen"] += 1
    return metrics.counters["seen"], item


def test_items_of_shards_come_together():
    shards = from_range(7, num_shards=2)
    assert list(shards.gather_sync()) == [0, 3, 1, 4, 2, 5, 6]
    assert list(shards.gather_sync()) == [0, 3, 1, 4, 2, 5, 6]
    assert sorted(shards.gather_async(batch_ms=5, num_async=2)) == list(range(7))
    assert list(shards.batch_across_shards()) == [[0, 3], [1, 4], [2, 5], [6]]
    assert [list(one) for one in shards.shards()] == [[0, 1, 2], [3, 4, 5, 6]]
    assert list(shards.get_shard(1)) == [3, 4, 5, 6]
    with pytest.raises(TypeError, match="gather_sync"):
        iter(shards)
    for bad in ({"num_async": 0}, {"batch_ms": -1}):
        with pytest.raises(ValueError, match="positive"):
            shards.gather_async(**bad)


def test_what_is_done_to_items_is_done_in_their_shards():
    shards = from_items([1, 2, 3, 4, 5], num_shards=1)
    done = shards.for_each(lambda x: 2 * x).filter(lambda x: x > 2).batch(3)
    assert done.take(5) == [[4, 6, 8], [10]]
    assert done.flatten().combine(lambda x: [x, -x]).take(4) == [4, -4, 6, -6]
    assert shards.transform(lambda items: (x for x in items if x % 2)).take(5) == [1, 3, 5]
    assert sorted(shards.local_shuffle(3, seed=1).take(9)) == [1, 2, 3, 4, 5]
    assert repr(done).endswith("shards=1].for_each().filter().batch(3)]")
    assert shards.for_each(count).take(2) == [(1, 1), (2, 2)]


def test_shards_are_dealt_out_anew():
    shards = from_items([1, 2], num_shards=2).union(from_range(3, num_shards=1))
    assert shards.num_shards() == 3
    assert sorted(shards.gather_sync()) == [0, 1, 1, 2, 2]
    assert from_range(6, num_shards=2).select_shards([1]).take(9) == [3, 4, 5]
    parts = shards.repartition(2)
    assert (parts.num_shards(), sorted(parts.gather_sync())) == (2, [0, 1, 1, 2, 2])


def test_items_of_generators_and_of_ones_own_actors():
    def two():
        yield "a"
        yield "b"

    assert from_iterators([two], repeat=True).take(5) == ["a", "b", "a", "b", "a"]

    @ray.remote(num_cpus=0)
    class Own(iterators.ParallelIteratorWorker):
        def __init__(self):
            super().__init__([7, 8], False)

    own = Own.remote()
    assert from_actors([own]).take(5) == [7, 8]
    pairs = list(from_actors([own]).gather_async().zip_with_source_actor())
    assert pairs == [(own, 7), (own, 8)]


@pytest.mark.own  # in Ray the second copy never ends, and a context lasts
def test_copies_are_read_apart():
    first, second = from_range(3, num_shards=1).gather_sync().for_each(count).duplicate(2)
    assert list(first) == list(second) == [(1, 0), (2, 1), (3, 2)]
    with pytest.raises(ValueError, match="outside an iterator"):
        LocalIterator.get_metrics()


def test_items_here():
    items = from_range(4, num_shards=1).gather_sync()
    assert next(items) == 0
    assert items.take(2) == [1, 2]
    assert list(items) == [3]
    with pytest.raises(ValueError, match="copies"):
        items.duplicate(1)
    long, short = (from_range(n, num_shards=1).gather_sync() for n in (4, 2))
    turns = long.union(short, round_robin_weights=[2, 1])
    assert list(turns) == [0, 1, 0, 2, 3, 1]
    with pytest.raises(ValueError, match="LocalIterator"):
        long.union(3)
