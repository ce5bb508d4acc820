"""`nbray.util.Executor` with processes of its own."""

from __future__ import annotations

import os
import threading
import time
import weakref
from concurrent import futures

import pytest

import nbray as ray
from nbray.exceptions import ActorDiedError
from nbray.util import Executor


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def test_waiting_calls_can_be_cancelled(tmp_path):
    go = tmp_path / "go"

    def wait():
        while not go.exists():
            time.sleep(0.01)

    executor = Executor(1)
    first, second, third, fourth = (executor.submit(wait) for _ in range(4))
    while not first.running():
        time.sleep(0.01)
    with pytest.raises(TimeoutError):
        first.result(timeout=0.01)
    assert second.cancel()
    assert not first.cancel()
    with pytest.raises(TimeoutError):
        next(executor.map(abs, [1], timeout=0.05))
    executor.shutdown(wait=False, cancel_futures=True)
    assert third.cancelled()
    assert fourth.cancelled()
    assert futures.wait([third, fourth], timeout=60).done == {third, fourth}
    go.touch()
    assert first.result(timeout=60) is None


def test_a_process_that_dies_is_replaced():
    with Executor(1, initializer=os.putenv, initargs=("A", "b")) as executor:
        died = executor.submit(os._exit, 1)
        with pytest.raises(ActorDiedError):
            died.result(timeout=60)
        assert isinstance(died.exception(), futures.BrokenExecutor)
        assert executor.submit(abs, -1).result(timeout=60) == 1


def test_what_ends_a_process_while_it_is_unpickled():
    class Ends:
        def __reduce__(self):
            return os._exit, (1,)

    with Executor(1) as executor:
        with pytest.raises(futures.BrokenExecutor):
            executor.submit(abs, Ends()).result(timeout=60)
        assert list(executor.map(abs, range(-3, 0), timeout=60)) == [3, 2, 1]


def test_what_was_submitted_outlives_the_executor():
    executor = Executor(1)
    results = executor.map(abs, range(-3, 0))
    del executor
    assert list(results) == [3, 2, 1]


def test_executors_in_calls_of_executors():
    def nested(n):
        with Executor(1) as executor:
            return sum(executor.map(abs, range(n)))

    with Executor(2) as executor:
        assert list(executor.map(nested, [2, 3], timeout=60)) == [1, 3]


def test_shutdown_waits():
    with Executor(2) as executor:
        made = [executor.submit(time.sleep, 0.01) for _ in range(6)]
    assert all(one.done() for one in made)


def made(_):
    return Thing()


class Thing:
    def method(self):
        pass


def test_nothing_is_held_longer_than_it_is_needed():
    with Executor(1) as executor:
        given = Thing()
        gone = threading.Event()
        watched = weakref.ref(given, lambda _: gone.set())
        executor.submit(given.method)
        del given
        assert gone.wait(60)
        assert watched() is None
        for result in executor.map(made, range(4), chunksize=2):
            seen = weakref.ref(result)
            del result
            assert seen() is None


def test_what_runs_is_not_cancelled():
    executor = Executor(1)
    made = [executor.submit(time.sleep, 0.05) for _ in range(20)]
    executor.shutdown(cancel_futures=True)
    left = [one for one in made if not one.cancelled()]
    assert 1 <= len(left) < 20
    assert all(one.done() and one.exception() is None for one in left)
