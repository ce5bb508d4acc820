"""Memory: what is freed with the last reference, and what does not fit."""

from __future__ import annotations

import _thread
import gc
import threading
import time

import numpy as np
import pytest
from api import ray

from nbray import session
from nbray.util.queue import Queue

pytestmark = pytest.mark.own

MEGABYTE = 1 << 20


def used():
    """Bytes in the object store, as the screens show them."""
    gc.collect()
    return sum(node.figures.store_used for node in session.require().insight.snapshot().nodes)


def array(megabytes=4):
    return np.ones(megabytes * MEGABYTE, dtype=np.uint8)


@pytest.fixture
def large(engine):
    """How many numbers have a segment of their own: more than 64 MB, where there are segments."""
    return 9 * MEGABYTE if engine == "native" else MEGABYTE // 4


@pytest.fixture(autouse=True)
def empty(engine, until):
    """The store is empty before and after each test."""
    until(lambda: used() < MEGABYTE)
    yield
    until(lambda: used() < MEGABYTE)


def test_put_values_are_freed(until):
    refs = [ray.put(array()) for _ in range(5)]
    until(lambda: used() >= 20 * MEGABYTE)
    del refs[2:]
    until(lambda: used() < 10 * MEGABYTE)


def test_results_are_freed(until):
    make = ray.remote(array)
    refs = [make.remote() for _ in range(5)]
    assert all(value.sum() == 4 * MEGABYTE for value in ray.get(refs))
    until(lambda: used() >= 20 * MEGABYTE)


def test_results_that_nobody_wants_are_freed():
    make = ray.remote(array)
    for _ in range(5):
        make.remote()


def test_large_arguments_are_freed():
    total = ray.remote(lambda a: int(a.sum()))
    assert ray.get([total.remote(array()) for _ in range(5)]) == [4 * MEGABYTE] * 5


def test_an_array_in_hand_keeps_its_memory(until):
    value = ray.get(ray.put(array()))
    others = [ray.put(np.zeros(4 * MEGABYTE, dtype=np.uint8)) for _ in range(5)]
    assert value.sum() == 4 * MEGABYTE
    assert len(others) == 5


def test_references_inside_values_are_freed(until):
    outer = ray.put([ray.put(array()) for _ in range(3)])
    until(lambda: used() >= 12 * MEGABYTE)
    taken = ray.get(outer)[0]
    del outer
    until(lambda: used() < 5 * MEGABYTE)
    assert ray.get(taken).sum() == 4 * MEGABYTE


def test_what_an_actor_holds_is_freed_with_it(until):
    @ray.remote
    class Keeper:
        def keep(self, box):
            self.box = box

        def add(self):
            return int(ray.get(self.box[0]).sum())

    keeper = Keeper.remote()
    ray.get(keeper.keep.remote([ray.put(array())]))
    assert ray.get(keeper.add.remote()) == 4 * MEGABYTE
    until(lambda: used() >= 4 * MEGABYTE)
    del keeper


def test_what_a_queue_holds_is_freed_with_it():
    items = Queue()
    items.put(array())
    assert items.get().sum() == 4 * MEGABYTE
    items.shutdown()


def test_memory_that_is_used_again_never_changes_a_value_in_hand(large):
    """Large ones have a segment each, which the next takes over when nobody looks at it."""
    fill = ray.remote(lambda n: np.full(large, n))
    views = []
    for n in range(6):
        views = views[-1:]
        if n % 2:
            views.append(ray.get(ray.put(np.full(large + n, n))))
        else:
            views.append(ray.get(fill.remote(n), timeout=60))
        ray.put(np.full(large, -1))  # dropped at once
        assert all((view == view[0]).all() for view in views)
        assert [int(view[0]) for view in views] == list(range(max(0, n - 1), n + 1))


@pytest.mark.concurrent
def test_many_may_use_memory_again_at_the_same_time(large):
    @ray.remote
    def turn(n):
        for k in range(3):
            value = ray.get(ray.put(np.full(large, 10 * n + k)))
            if not (value == 10 * n + k).all():
                return f"client {n} reads what another one wrote"
            del value
        return None

    assert ray.get([turn.remote(n) for n in range(6)], timeout=60) == [None] * 6


def test_an_interrupted_put_harms_nobody(large):
    """Wherever the interrupt comes: no value is wrong afterwards, and nothing stays behind."""
    kept = ray.put(np.full(large, 7))
    source = np.full(large, 1)
    interrupted = 0
    step = 0.0015 * large / (9 * MEGABYTE)
    for attempt in range(12):
        timer = threading.Timer(step * attempt, _thread.interrupt_main)
        try:
            timer.start()
            ray.put(source)
            timer.join()
            time.sleep(0.01)
        except KeyboardInterrupt:
            interrupted += 1
            timer.join()
        assert (ray.get(ray.put(np.full(large, attempt))) == attempt).all()
    assert interrupted
    assert (ray.get(kept) == 7).all()


def test_a_full_store_takes_more_and_what_is_larger_than_it(engine):
    ray.shutdown()
    ray.init(engine=engine, num_cpus=2, object_store_memory=32 * MEGABYTE)
    make, total = ray.remote(array), ray.remote(lambda value: int(value.sum()))
    kept = [ray.put(np.full(8 * MEGABYTE, number, np.uint8)) for number in range(8)]
    used = ray.get(kept[7])
    large = ray.put(array(64)), make.remote(64)
    assert [ray.get(ref).nbytes for ref in large] == [64 * MEGABYTE] * 2
    sums = ray.get([total.remote(ref) for ref in kept], timeout=60)
    assert sums == [8 * MEGABYTE * number for number in range(8)]
    kept += [make.remote(8) for _ in range(8)]
    assert [ray.get(ref).nbytes for ref in kept] == [8 * MEGABYTE] * 16
    assert (used == 7).all()


@pytest.mark.parametrize("last", [threading.Lock, lambda: 1 / 0, lambda: [threading.Lock()]])
def test_results_beside_one_that_cannot_be_given_are_freed(last, until):
    @ray.remote(num_returns=3)
    def give():
        return array(), array(), last()

    for _ in range(2):
        with pytest.raises((TypeError, ZeroDivisionError)):
            ray.get(give.remote()[0])
    until(lambda: used() < MEGABYTE)
