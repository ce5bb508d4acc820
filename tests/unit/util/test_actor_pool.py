"""ActorPool: order, idle actors, errors."""

from __future__ import annotations

import pytest

import nbray as ray
from nbray.util import ActorPool


@pytest.fixture(autouse=True)
def engine():
    ray.shutdown()
    ray.init(engine="inline")
    yield
    ray.shutdown()


@ray.remote
class Doubler:
    def double(self, x):
        if x == "bad":
            raise ValueError("bad")
        return 2 * x


@pytest.fixture
def pool():
    return ActorPool([Doubler.remote() for _ in range(2)])


def double(actor, value):
    return actor.double.remote(value)


def test_map_keeps_the_order(pool):
    assert list(pool.map(double, range(7))) == [2 * i for i in range(7)]
    assert sorted(pool.map_unordered(double, range(7))) == [2 * i for i in range(7)]


def test_submit_and_get_next(pool):
    for value in range(3):
        pool.submit(double, value)
    assert pool.has_next()
    assert [pool.get_next() for _ in range(3)] == [0, 2, 4]
    assert not pool.has_next()
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_ordered_after_unordered(pool):
    for value in range(4):
        pool.submit(double, value)
    first = pool.get_next_unordered()
    assert sorted([first, *(pool.get_next() for _ in range(3))]) == [0, 2, 4, 6]


def test_an_error_frees_its_actor(pool):
    for value in ("bad", "bad", 1):
        pool.submit(double, value)
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            pool.get_next()
    assert pool.get_next() == 2
    assert pool.has_free()


def test_actors_come_and_go(pool):
    first = pool.pop_idle()
    assert first is not None
    assert pool.pop_idle() is not None
    assert pool.pop_idle() is None
    pool.push(first)
    with pytest.raises(ValueError, match="already"):
        pool.push(first)
    assert list(pool.map(double, [1, 2])) == [2, 4]
