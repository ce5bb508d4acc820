"""Streams whose task, actor or reader ends: before the first item, between, after the last."""

from __future__ import annotations

import gc
import os
import signal
import time

import pytest
from api import ray


@ray.remote(num_cpus=0, max_retries=0)
def dies(before, after=0, seconds=0.1):
    """Ends its process after some items, the last of which are out."""
    for index in range(before):  # noqa: UP028 - through `yield from` Ray sends into it
        yield index
    time.sleep(seconds)
    os._exit(1)
    yield after


def outcomes(refs):
    """The value of each, or the class of its error."""
    found = []
    for ref in refs:
        try:
            found.append(ray.get(ref, timeout=60))
        except ray.exceptions.RayError as error:
            found.append(type(error))
    return found


@pytest.mark.concurrent
@pytest.mark.parametrize("before", [0, 2])
def test_the_end_of_its_process_is_the_last_item(before):
    stream = dies.remote(before)
    assert outcomes(stream) == [*range(before), ray.exceptions.WorkerCrashedError]
    assert stream.is_finished()
    assert outcomes([stream.completed()]) == [ray.exceptions.WorkerCrashedError]


@pytest.mark.concurrent
def test_the_end_of_one_that_is_held_back():
    @ray.remote(num_cpus=0, max_retries=0, _generator_backpressure_num_objects=1)
    def paced():
        yield os.getpid()
        yield 1
        yield 2

    stream = paced.remote()
    os.kill(ray.get(next(stream)), signal.SIGKILL)
    assert outcomes(stream)[-1] == ray.exceptions.WorkerCrashedError


@pytest.mark.concurrent
def test_a_second_attempt_that_gives_less_is_as_good(tmp_path):
    @ray.remote(num_cpus=0, max_retries=1)
    def shorter(path):
        first = not path.exists()
        path.touch()
        yield 0
        if first:
            yield 1
            time.sleep(0.1)
            os._exit(1)

    stream = shorter.remote(tmp_path / "begun")
    assert outcomes(stream) == [0, 1]
    assert ray.get(stream.completed()) is None


@pytest.mark.concurrent
@pytest.mark.parametrize("retries", [0, 1])
def test_an_actor_that_is_made_again(tmp_path, retries):
    @ray.remote(num_cpus=0, max_restarts=1, max_task_retries=retries)
    class Fragile:
        def each(self, path):
            for index in range(4):
                if index == 2 and not path.exists():
                    path.touch()
                    time.sleep(0.1)
                    os._exit(1)
                yield index

        def alive(self):
            return True

    actor = Fragile.remote()
    stream = actor.each.remote(tmp_path / "begun")
    if retries:
        assert outcomes(stream) == [0, 1, 2, 3]
    else:
        assert outcomes(stream) == [0, 1, ray.exceptions.ActorUnavailableError]
    deadline = time.monotonic() + 60
    while outcomes([actor.alive.remote()]) != [True]:
        assert time.monotonic() < deadline


@pytest.mark.concurrent
def test_items_outlive_their_stream():
    @ray.remote(num_cpus=0)
    def pieces():
        yield 1
        yield bytes(300_000)
        yield 3

    stream = pieces.remote()
    small, large = next(stream), next(stream)
    del stream
    gc.collect()
    assert ray.get(small) == 1
    assert len(ray.get(large)) == 300_000


@pytest.mark.concurrent
def test_an_unfinished_stream_keeps_its_actor():
    @ray.remote(num_cpus=0)
    class Source:
        def each(self):
            while True:
                yield 1
                time.sleep(0.005)

    actor = Source.remote()
    stream = actor.each.remote()
    ray.get(next(stream))
    del actor
    gc.collect()
    time.sleep(0.2)
    assert ray.get(next(stream)) == 1
    ray.cancel(stream)
    assert outcomes(stream)[-1] == ray.exceptions.TaskCancelledError


@pytest.mark.concurrent
@pytest.mark.parametrize("recursive", [True, False])
def test_cancel_reaches_what_a_generator_has_launched(tmp_path, recursive):
    @ray.remote(num_cpus=0)
    def child(path):
        try:
            (path / "runs").touch()
            while not (path / "go").exists():
                time.sleep(0.01)
        except BaseException:
            (path / "cancelled").touch()
            raise

    @ray.remote(num_cpus=0)
    def parent(path):
        held = child.remote(path)
        while True:
            yield held is None
            time.sleep(0.01)

    stream = parent.remote(tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "runs").exists():
        ray.get(next(stream))
        assert time.monotonic() < deadline
    ray.cancel(stream, recursive=recursive)
    assert issubclass(outcomes(stream)[-1], ray.exceptions.TaskCancelledError)
    if not recursive:
        time.sleep(0.1)
        (tmp_path / "go").touch()
    while recursive and not (tmp_path / "cancelled").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (tmp_path / "cancelled").exists() is recursive


def test_cancel_after_the_end_changes_nothing():
    @ray.remote(num_cpus=0)
    def two():
        yield 1
        yield 2

    stream = two.remote()
    ray.get(stream.completed())
    ray.cancel(stream)
    assert outcomes(stream) == [1, 2]


def test_a_stream_cannot_be_returned_or_yielded():
    @ray.remote(num_cpus=0)
    def inner():
        yield 1

    @ray.remote(num_cpus=0)
    def returns():
        return inner.remote()

    @ray.remote(num_cpus=0)
    def yields():
        yield inner.remote()

    with pytest.raises(TypeError, match="ObjectRefGenerator"):
        ray.get(returns.remote())
    with pytest.raises(TypeError, match="ObjectRefGenerator"):
        ray.get(next(yields.remote()))


@pytest.mark.concurrent
def test_wait_finds_the_stream_that_has_something(tmp_path):
    @ray.remote(num_cpus=0)
    def after(path):
        while not path.exists():
            time.sleep(0.01)
        yield 1

    slow, quick = after.remote(tmp_path / "go"), after.remote(tmp_path)
    assert ray.wait([slow, quick], timeout=60) == ([quick], [slow])
    ray.get(next(quick))
    ray.get(quick.completed())
    assert ray.wait([quick], timeout=60) == ([quick], []), "it has none any more"
    (tmp_path / "go").touch()
    assert ray.wait([slow], timeout=60, fetch_local=False) == ([slow], [])


@pytest.mark.own  # it takes Ray half a minute
@pytest.mark.concurrent
def test_a_hundred_thousand_items_and_an_endless_stream():
    @ray.remote(num_cpus=0)
    def numbers(n):
        index = 0
        while index != n:
            yield index
            index += 1

    assert sum(1 for _ in numbers.remote(100_000)) == 100_000
    endless = numbers.options(_generator_backpressure_num_objects=1000).remote(-1)
    assert [ray.get(next(endless)) for _ in range(10)] == list(range(10))
