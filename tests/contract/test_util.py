"""The small helpers of `ray.util`, on every engine."""

from __future__ import annotations

import asyncio
import time

import pytest
from api import load, ray

ActorPool = ray.util.ActorPool
queue = load("util.queue")
Empty, Full, Queue = queue.Empty, queue.Full, queue.Queue


@ray.remote
def double(x):
    return 2 * x


@ray.remote(num_cpus=0)
class Doubler:
    def double(self, x):
        if x == 3:
            raise ValueError("not 3")
        return 2 * x


def by(actor, x):
    return actor.double.remote(x)


@pytest.fixture
def pool():
    return ActorPool([Doubler.remote(), Doubler.remote()])


def test_an_actor_pools_results(pool):
    assert list(pool.map(by, [1, 2, 4, 5])) == [2, 4, 8, 10]
    assert sorted(pool.map_unordered(by, [1, 2, 4, 5])) == [2, 4, 8, 10]


def test_one_result_after_the_other(pool):
    for x in (1, 2, 4):
        pool.submit(by, x)
    assert pool.has_next()
    assert [pool.get_next(), pool.get_next(timeout=60), pool.get_next_unordered()] == [2, 4, 8]
    assert not pool.has_next()
    with pytest.raises(StopIteration, match="No more results"):
        pool.get_next()
    with pytest.raises(StopIteration, match="No more results"):
        pool.get_next_unordered()


def test_a_call_that_fails_leaves_its_actor_in_the_pool(pool):
    pool.submit(by, 3)
    with pytest.raises(ValueError, match="not 3"):
        pool.get_next()
    assert list(pool.map(by, [1, 2, 4])) == [2, 4, 8]


@pytest.mark.concurrent
def test_a_result_that_does_not_come_in_time(pool, tmp_path):
    go = tmp_path / "go"

    @ray.remote(num_cpus=0)
    class Slow:
        async def double(self, x):
            while not go.exists():  # noqa: ASYNC110 - what it waits for is a file
                await asyncio.sleep(0.01)
            return 2 * x

    slow = ActorPool([Slow.remote()])
    slow.submit(by, 1)
    with pytest.raises(TimeoutError, match="Timed out waiting for result"):
        slow.get_next(timeout=0.05)
    with pytest.raises(TimeoutError, match="Timed out waiting for result"):
        slow.get_next_unordered(timeout=0.05)
    with pytest.raises(TimeoutError, match="has been ignored"):
        slow.get_next(timeout=0.05, ignore_if_timedout=True)
    assert not slow.has_next()
    go.touch()


@pytest.mark.concurrent
def test_no_order_is_left_after_the_last_was_given_out_of_it(tmp_path):
    go = tmp_path / "go"

    @ray.remote(num_cpus=0)
    class Waits:
        def double(self, x):
            while x == 1 and not go.exists():
                time.sleep(0.01)
            return 2 * x

    two = ActorPool([Waits.remote(), Waits.remote()])
    two.submit(by, 1)
    two.submit(by, 2)
    assert two.get_next_unordered() == 4
    with pytest.raises(ValueError, match="after get_next_unordered"):
        two.get_next()
    go.touch()
    assert two.has_next()
    assert two.get_next_unordered() == 2


def test_idle_actors(pool):
    assert pool.has_free()
    first, second = pool.pop_idle(), pool.pop_idle()
    assert pool.pop_idle() is None
    assert not pool.has_free()
    pool.push(first)
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(first)
    pool.push(second)
    assert pool.has_free()


def test_a_queue():
    items = Queue(maxsize=2)
    assert items.empty()
    items.put("a")
    items.put_nowait("b")
    assert [items.size(), items.qsize(), len(items), items.full()] == [2, 2, 2, True]
    with pytest.raises(Full):
        items.put_nowait("c")
    with pytest.raises(Full):
        items.put("c", timeout=0.01)
    assert [items.get(), items.get(timeout=1)] == ["a", "b"]
    with pytest.raises(Empty):
        items.get_nowait()
    with pytest.raises(Empty):
        items.get(timeout=0.01)
    items.shutdown(force=True)


class Counted(Queue):
    def twice(self):
        return 2 * self.size()


def test_a_queue_of_a_class_of_ones_own_is_sent_as_such():
    items = Counted(maxsize=4)
    items.put(1)

    @ray.remote
    def look(items):
        return items.twice(), items.maxsize

    assert ray.get(look.remote(items)) == (2, 4)
    items.shutdown(force=True)
    assert items.actor is None
    items.shutdown()
    with pytest.raises(AttributeError):
        items.put(1)


def test_a_queues_batches():
    items = Queue(maxsize=3)
    items.put_nowait_batch([1, 2])
    with pytest.raises(Full, match="Cannot add 2 items"):
        items.put_nowait_batch([3, 4])
    with pytest.raises(Empty, match="Cannot get 3 items"):
        items.get_nowait_batch(3)
    assert items.get_nowait_batch(2) == [1, 2]
    with pytest.raises(TypeError, match="Iterable"):
        items.put_nowait_batch(1)
    with pytest.raises(TypeError, match="num_items"):
        items.get_nowait_batch(1.5)
    with pytest.raises(ValueError, match="num_items"):
        items.get_nowait_batch(-1)
    for ask in (items.put, items.get):
        with pytest.raises(ValueError, match="non-negative"):
            ask(*[1] * (ask == items.put), timeout=-1)
    items.shutdown(force=True)


def test_a_queue_in_coroutines():
    async def main():
        items = Queue(maxsize=1)
        await items.put_async(1)
        with pytest.raises(Full):
            await items.put_async(2, block=False)
        with pytest.raises(Full):
            await items.put_async(2, timeout=0.01)
        assert await items.get_async() == 1
        with pytest.raises(Empty):
            await items.get_async(block=False)
        with pytest.raises(Empty):
            await items.get_async(timeout=0.01)
        return items

    asyncio.run(main()).shutdown(force=True)


def test_results_as_they_come():
    refs = [double.remote(i) for i in range(25)]
    assert sorted(ray.util.as_completed(refs)) == [2 * i for i in range(25)]
    given = ray.util.as_completed(refs, chunk_size=3, yield_obj_refs=True)
    assert sorted(ray.get(list(given))) == [2 * i for i in range(25)]
    for bad in ({"chunk_size": 0}, {"num_returns": 1}):
        with pytest.raises(ValueError, match=r"chunk_?size"):
            list(ray.util.as_completed(refs, **bad))


def test_a_map_whose_results_come_as_they_come():
    results = ray.util.map_unordered(double, range(25), backpressure_size=4, chunk_size=2)
    assert sorted(results) == [2 * i for i in range(25)]
    assert sorted(ray.util.map_unordered(double, range(5), backpressure_size=None)) == [
        0, 2, 4, 6, 8,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="must be positive"):
        list(ray.util.map_unordered(double, [1], backpressure_size=0))


def test_what_is_said_once(engine):
    key = f"test_what_is_said_once {engine}"
    assert [ray.util.log_once(key) for _ in range(3)] == [True, False, False]


def test_the_instance():
    assert ray.util.get_node_instance_id() == ""
