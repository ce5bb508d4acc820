"""The interface of `concurrent.futures.Executor`."""

from __future__ import annotations

import asyncio
from concurrent import futures

import pytest

import nbray as ray
from nbray.exceptions import RayTaskError
from nbray.util import Executor


@pytest.fixture(autouse=True)
def inline():
    ray.init(engine="inline", num_cpus=2)
    yield
    ray.shutdown()


def picky(x):
    if x == 3:
        raise ValueError("not 3")
    return x


def test_submit():
    with Executor() as executor:
        future = executor.submit(pow, 2, exp=3)
        assert isinstance(future, futures.Future)
        assert future.result(timeout=60) == 8
        assert future.done()
        assert not future.running()
        assert not future.cancel()


def test_what_a_call_raises():
    with Executor() as executor:
        error = executor.submit(picky, 3).exception()
    assert type(error) is ValueError
    assert isinstance(error.__cause__, RayTaskError)


def test_map():
    with Executor() as executor:
        assert list(executor.map(pow, [1, 2, 3], [2, 2])) == [1, 4]
        assert list(executor.map(abs, range(10), chunksize=4)) == list(range(10))
        results = executor.map(picky, [1, 3, 5])
        assert next(results) == 1
        with pytest.raises(ValueError, match="not 3"):
            next(results)
        with pytest.raises(ValueError, match="chunksize"):
            executor.map(abs, [1], chunksize=0)


def test_what_takes_futures_takes_these():
    with Executor() as executor:
        made = [executor.submit(abs, -i) for i in range(5)]
        assert sorted(one.result() for one in futures.as_completed(made)) == list(range(5))
        assert not futures.wait(made).not_done
        called = []
        made[0].add_done_callback(called.append)
        assert called == [made[0]]

        async def main():
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(executor, abs, -i) for i in (1, 2)))

        assert asyncio.run(main()) == [1, 2]


def test_after_shutdown():
    executor = Executor()
    executor.shutdown()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)


def test_arguments():
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        Executor(0)
    with pytest.raises(TypeError, match="initializer must be a callable"):
        Executor(initializer=1)


def test_what_cannot_be_pickled_fails_its_future(monkeypatch):
    with Executor() as executor:
        monkeypatch.setattr("nbray.util.executor.carried", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            executor.submit(abs, 1).result()


def test_an_initializer_that_fails_breaks_the_executor():
    executor = Executor(initializer=lambda: 1 / 0)
    with pytest.raises(futures.BrokenExecutor, match="division by zero"):
        executor.submit(abs, 1).result()
    with pytest.raises(futures.BrokenExecutor):
        executor.submit(abs, 1)


def test_the_end_of_the_cluster_breaks_it():
    executor = Executor()
    ray.shutdown()
    with pytest.raises(futures.BrokenExecutor, match="cluster has ended"):
        executor.submit(abs, 1)
