"""The interface of `concurrent.futures.Executor`."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent import futures

import pytest

import nbray as ray
from nbray import session
from nbray.exceptions import RayTaskError
from nbray.util import Executor
from nbray.util.executor_futures import ExecutorFuture


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


def test_arguments_may_have_any_name():
    def given(*args, **kwargs):
        return args, kwargs

    with Executor() as executor:
        assert executor.submit(given, 1, self=2, fn=3).result() == ((1,), {"self": 2, "fn": 3})
        with pytest.raises(TypeError, match="fn"):
            executor.submit(arg=1)


def test_a_call_may_raise_what_ends_a_process():
    with Executor() as executor:
        with pytest.raises(SystemExit, match="3"):
            executor.submit(sys.exit, 3).result()
        assert executor.submit(abs, -1).result() == 1


def test_errors_have_their_own_causes_behind_the_tasks():
    def fails():
        try:
            1 / 0  # noqa: B018 - raises
        except ZeroDivisionError as error:
            raise RuntimeError(123) from error  # some comment

    with Executor() as executor:
        error = executor.submit(fails).exception()
    assert "raise RuntimeError(123) from error  # some comment" in error.__cause__.traceback_str
    assert isinstance(error.__cause__.__cause__, ZeroDivisionError)


def test_items_of_a_batch_are_counted_by_themselves():
    token = session.cell.set("cell")
    try:
        with Executor(1) as executor:
            results = executor.map(picky, range(7), chunksize=4)
            with pytest.raises(ValueError, match="not 3"):
                list(results)
    finally:
        session.cell.reset(token)
    view = session.require().cells.view("cell")
    assert (view.submitted, view.done, view.failed) == (7, 6, 1)
    assert session.require().cells.unfinished("cell") == 0


def test_whoever_waits_for_several_is_noticed(monkeypatch):
    waits = []

    class Waiting:
        def __enter__(self):
            waits.append("begin")

        def __exit__(self, *_):
            waits.append("end")

        def pause(self):
            waits.append("pause")

        def resume(self):
            waits.append("resume")

    monkeypatch.setattr(session, "_watcher", lambda at_once=False: Waiting())
    first, second = ExecutorFuture(), ExecutorFuture()
    other = futures.Future()  # whoever's
    assert futures.wait([first, second, other], timeout=0).not_done == {first, second, other}
    assert waits == ["begin", "pause", "end"]
    waits.clear()
    timers = [threading.Timer(0.02, first.set_result, [1]), threading.Timer(0.06, second.cancel)]
    for timer in timers:
        timer.start()
    for future in futures.as_completed([first, second], timeout=60):
        if future is first:
            assert waits == ["begin", "pause"]
            timers[1].join()
            second.set_running_or_notify_cancel()
    assert waits[-1] == "end"
    assert futures.wait([first, second]).done == {first, second}


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
