"""`get` of several raises the first failure as soon as it is known."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from api import ray

LONG = 60
"""Seconds that no test here waits for."""


class Early(Exception):
    pass


@ray.remote(num_cpus=0.25)
def fail(seconds=0.0, what="early"):
    time.sleep(seconds)
    raise Early(what)


@ray.remote(num_cpus=0.25)
def wait_for(gate, result=None):
    """Runs until the test is over."""
    while not ray.get(gate.open.remote()):
        time.sleep(0.02)
    return result


@pytest.fixture
def gate():
    @ray.remote(num_cpus=0)
    class Gate:
        def __init__(self):
            self.is_open = False

        def open(self, now=False):
            self.is_open = self.is_open or now
            return self.is_open

    made = Gate.remote()
    yield made
    ray.get(made.open.remote(True))


@pytest.mark.concurrent
@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("timeout", [None, LONG])
def test_the_others_are_not_waited_for(gate, place, timeout):
    refs = [wait_for.remote(gate) for _ in range(3)]
    refs += [wait_for.remote(gate, refs[0]) for _ in range(3)]  # these have not begun
    refs.insert(place, fail.remote(0.05))
    with pytest.raises(Early, match="early"):
        ray.get(refs, timeout=timeout)


@pytest.mark.concurrent
def test_the_order_is_that_in_which_failures_happen(gate, tmp_path):
    go = tmp_path / "go"

    @ray.remote(num_cpus=0.25)
    def fails_later():
        while not go.exists():
            time.sleep(0.02)
        raise Early("second")

    refs = [fails_later.remote(), wait_for.remote(gate), fail.remote(0.1, "first")]
    with pytest.raises(Early, match="first"):
        ray.get(refs)
    go.touch()
    ray.wait([refs[0]])
    with pytest.raises(Early, match="second"):  # both are known: the list's order
        ray.get(refs)


@pytest.mark.concurrent
def test_what_has_failed_before_is_raised_at_once(gate):
    failed = fail.remote()
    ray.wait([failed])
    with pytest.raises(Early):
        ray.get([wait_for.remote(gate), failed], timeout=0)


@pytest.mark.concurrent
def test_a_time_out_is_one_only_without_a_failure(gate):
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get([wait_for.remote(gate), ray.put(1)], timeout=0.1)


@pytest.mark.own
@pytest.mark.concurrent
def test_a_time_out_says_how_many_are_not_there(gate):
    with pytest.raises(ray.exceptions.GetTimeoutError, match="1 of 2"):
        ray.get([wait_for.remote(gate), ray.put(1)], timeout=0.1)


@pytest.mark.concurrent
def test_within_a_task(gate):
    @ray.remote(num_cpus=0)
    def outer(gate):
        try:
            ray.get([wait_for.remote(gate), fail.remote(0.05), wait_for.remote(gate)])
        except Early as error:
            return str(error.args[0])
        return "no failure"

    assert ray.get(outer.remote(gate), timeout=LONG) == "early"


@pytest.mark.concurrent
def test_of_another_process(gate):
    """The references belong to a worker."""

    @ray.remote(num_cpus=0.1)
    def make(gate):
        return [wait_for.remote(gate), fail.remote(0.05)]

    with pytest.raises(Early):
        ray.get(ray.get(make.remote(gate)))


@pytest.mark.concurrent
def test_a_dead_worker_an_actor_and_a_cancelled_task_are_failures(gate):
    @ray.remote(num_cpus=0)
    class Broken:
        def call(self):
            raise Early("of an actor")

        def end(self):
            import os

            os._exit(3)

    broken = Broken.remote()
    with pytest.raises(Early, match="of an actor"):
        ray.get([wait_for.remote(gate), broken.call.remote()])
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get([wait_for.remote(gate), broken.end.remote()])
    cancelled = wait_for.remote(gate)
    ray.cancel(cancelled)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get([wait_for.remote(gate), cancelled])


@pytest.mark.concurrent
def test_in_coroutines_and_threads(gate):
    async def gathered():
        await asyncio.gather(*[wait_for.remote(gate), fail.remote(0.05)])

    with pytest.raises(Early):
        asyncio.run(gathered())
    raised = []

    def get():
        try:
            ray.get([wait_for.remote(gate), fail.remote(0.05)])
        except Early as error:
            raised.append(error)

    thread = threading.Thread(target=get)
    thread.start()
    thread.join(LONG)
    assert raised


def test_all_values_come_when_nothing_fails():
    @ray.remote(num_cpus=0.25)
    def value(x):
        return x

    assert ray.get([value.remote(x) for x in range(30)]) == list(range(30))


@pytest.mark.own
def test_how_many_failed_alike_is_said():
    refs = [fail.remote() for _ in range(5)]
    ray.wait(refs, num_returns=5)
    with pytest.raises(Early) as caught:
        ray.get(refs)
    if ray.session.current().capabilities.name == "native":
        assert caught.value.alike == 5
