"""Queue: items, limits, waiting, travelling."""

from __future__ import annotations

import queue

import pytest

import nbray as ray
from nbray.util.queue import Empty, Full, Queue


@pytest.fixture(autouse=True)
def engine():
    ray.shutdown()
    ray.init(engine="inline")
    yield
    ray.shutdown()


def test_first_in_first_out():
    items = Queue()
    for value in range(3):
        items.put(value)
    assert len(items) == items.qsize() == 3
    assert [items.get() for _ in range(3)] == [0, 1, 2]
    assert items.empty()


def test_a_limit():
    items = Queue(maxsize=1)
    items.put(1)
    assert items.full()
    with pytest.raises(Full):
        items.put_nowait(2)
    with pytest.raises(queue.Full):
        items.put(2, timeout=0.01)


def test_nothing_to_take():
    items = Queue()
    with pytest.raises(Empty):
        items.get_nowait()
    with pytest.raises(queue.Empty):
        items.get(timeout=0.01)
    with pytest.raises(ValueError, match="timeout"):
        items.get(timeout=-1)


def test_batches():
    items = Queue(maxsize=3)
    items.put_nowait_batch([1, 2])
    with pytest.raises(Full):
        items.put_nowait_batch([3, 4])
    with pytest.raises(Empty):
        items.get_nowait_batch(3)
    assert items.get_nowait_batch(2) == [1, 2]


def test_it_travels_to_tasks():
    @ray.remote
    def produce(items):
        items.put("from a task")

    items = Queue(actor_options={"num_cpus": 0})
    ray.get(produce.remote(items))
    assert items.get() == "from a task"


def test_shutdown():
    items = Queue()
    actor = items.actor
    items.shutdown()
    assert items.actor is None
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(actor.qsize.remote())
