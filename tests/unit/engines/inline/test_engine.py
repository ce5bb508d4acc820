"""What is the inline engine's own: order, freeing, the one node."""

from __future__ import annotations

import asyncio
import os
import threading

import numpy as np
import pytest

import nbray as ray
from nbray import session
from nbray.exceptions import GetTimeoutError, RaySystemError


@pytest.fixture(autouse=True)
def engine():
    ray.shutdown()
    ray.init(engine="inline", num_cpus=2, num_gpus=1, object_store_memory=50_000_000)
    yield session.require()
    ray.shutdown()


def held(engine):
    return len(engine._objects)


def test_a_task_has_run_when_remote_returns():
    log = []
    ray.remote(lambda: os.environ.__setitem__("NBRAY_TEST_RAN", "yes")).remote()
    assert os.environ.pop("NBRAY_TEST_RAN") == "yes"
    assert log == []


def test_tasks_run_in_the_calling_thread():
    assert ray.get(ray.remote(threading.get_ident).remote()) == threading.get_ident()


def test_values_are_freed_with_their_last_reference(engine):
    ref = ray.put(np.zeros(100_000))
    assert engine.insight.snapshot().nodes[0].figures.store_used > 800_000
    del ref
    assert (held(engine), engine.insight.snapshot().nodes[0].figures.store_used) == (0, 0)


def test_results_nobody_wants_are_freed(engine):
    for _ in range(50):
        ray.remote(lambda: np.zeros(10_000)).remote()
    assert held(engine) == 0


def test_arguments_are_not_kept(engine):
    ref = ray.put([1])
    result = ray.remote(lambda boxes: len(boxes)).remote([ref])
    del ref
    assert ray.get(result) == 1
    assert held(engine) == 1


def test_a_task_that_waits_for_an_async_actor_runs_later():
    @ray.remote
    class Gate:
        def __init__(self):
            self.event = asyncio.Event()

        async def wait(self):
            await self.event.wait()
            return 20

        async def open(self):
            self.event.set()

    @ray.remote
    def double(x):
        return 2 * x

    gate = Gate.remote()
    ref = double.remote(gate.wait.remote())
    assert ray.wait([ref], timeout=0.05) == ([], [ref])
    gate.open.remote()
    assert ray.get(ref, timeout=60) == 40


def test_a_method_cannot_wait_for_its_own_actor():
    @ray.remote
    class Selfish:
        def set(self, me):
            self.me = me[0]

        def wait(self):
            return ray.get(self.me.other.remote())

        def other(self):
            return 1

        def wait_a_moment(self):
            try:
                ray.get(self.me.other.remote(), timeout=0.01)
            except GetTimeoutError:
                return "timed out"

    selfish = Selfish.remote()
    selfish.set.remote([selfish])
    with pytest.raises(RaySystemError, match="one call at a time"):
        ray.get(selfish.wait.remote())
    assert ray.get(selfish.wait_a_moment.remote()) == "timed out"
    assert ray.get(selfish.other.remote()) == 1


def test_calls_to_itself_run_after_the_present_one():
    @ray.remote
    class Log:
        def __init__(self):
            self.lines = []

        def outer(self, me):
            me[0].inner.remote()
            self.lines.append("outer")

        def inner(self):
            self.lines.append("inner")

        def read(self):
            return self.lines

    log = Log.remote()
    log.outer.remote([log])
    assert ray.get(log.read.remote()) == ["outer", "inner"]


def test_actors_leave_nothing_behind(engine):
    @ray.remote
    class Sample:
        async def one(self):
            return 1

    before = threading.active_count()
    actors = [Sample.remote() for _ in range(3)]
    assert ray.get([actor.one.remote() for actor in actors]) == [1, 1, 1]
    del actors
    for thread in threading.enumerate():
        if thread.name == "nbray-Sample":
            thread.join(60)
    assert threading.active_count() == before
    assert held(engine) == 0
    assert engine.insight.snapshot().actors == 0


def test_a_result_larger_than_the_store(engine):
    @ray.remote
    def large():
        return np.zeros(10_000_000)

    assert ray.get(large.remote()).nbytes == 80_000_000
    assert ray.get(ray.put(np.zeros(10_000_000))).nbytes == 80_000_000


def test_resources_are_held_while_a_task_runs():
    @ray.remote(num_cpus=2, num_gpus=1)
    def free():
        return ray.available_resources()["CPU"], ray.get_gpu_ids()

    assert ray.get(free.remote()) == (0, [0])
    assert ray.available_resources()["CPU"] == 2


def test_it_cannot_be_joined(engine):
    with pytest.raises(RaySystemError, match="native"):
        engine.cluster.join_line()


def test_an_ended_engine_refuses_work(engine):
    ray.shutdown()
    with pytest.raises(RaySystemError, match="init"):
        engine.put(1)


def test_cancel_by_force_is_not_for_actors():
    @ray.remote
    class Sample:
        def one(self):
            return 1

    sample = Sample.remote()
    with pytest.raises(ValueError, match="kill"):
        ray.cancel(sample.one.remote(), force=True)


def test_cancelling_a_cell(engine):
    @ray.remote
    class Sleeper:
        async def sleep(self):
            await asyncio.sleep(600)

    sleeper = Sleeper.remote()
    token = session.cell.set("mine")
    mine = [sleeper.sleep.remote() for _ in range(3)]
    session.cell.reset(token)
    other = sleeper.sleep.remote()
    assert ray.wait([other], timeout=0.05)[0] == []
    assert engine.cells.cancel("mine", force=False) == 3
    for ref in mine:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=60)
    assert ray.wait([other], timeout=0)[0] == []
    assert engine.insight.snapshot().cells["mine"].failed == 3


def test_keyboard_interrupts_reach_the_caller():
    @ray.remote
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop.remote()
