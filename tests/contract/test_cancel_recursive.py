"""`cancel(recursive=True)` reaches what a task has launched, wherever that runs."""

from __future__ import annotations

import time

import pytest
from api import ray
from harness import eventually

from nbray import session

pytestmark = pytest.mark.concurrent
LONG = 120
"""Seconds after which the tasks here would end by themselves."""


@ray.remote(num_cpus=0)
class Log:
    """Who has begun, and who has ended by itself or was interrupted."""

    def __init__(self):
        self.lines = []

    def note(self, line):
        self.lines.append(line)

    def read(self):
        return sorted(self.lines)


def sleep_noted(log, name):
    try:
        ray.get(log.note.remote(f"{name} begins"))
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            time.sleep(0.05)
    except KeyboardInterrupt:
        ray.get(log.note.remote(f"{name} interrupted"))
        raise


@ray.remote(num_cpus=0.1)
def leaf(log, name):
    sleep_noted(log, name)


@ray.remote(num_cpus=0.1)
def outer(log, depth, wide=1):
    """A chain of tasks, each with *wide* leaves."""
    refs = [leaf.remote(log, f"leaf {depth}.{number}") for number in range(wide)]
    if depth:
        refs.append(outer.remote(log, depth - 1, wide))
    return ray.get(refs)


@pytest.fixture
def until():
    """As everywhere, with more time: a chain of tasks needs a process each."""

    def wait(condition):
        assert eventually(condition, timeout=60), "the condition did not come to hold in time"

    return wait


@pytest.fixture
def log():
    return Log.remote()


def begun(log):
    return [line for line in ray.get(log.read.remote()) if line.endswith("begins")]


def interrupted(log):
    return [line for line in ray.get(log.read.remote()) if line.endswith("interrupted")]


@pytest.mark.parametrize(("depth", "wide"), [(0, 1), (1, 2), (2, 1)])
def test_children_and_grandchildren_are_interrupted(log, until, depth, wide):
    count = (depth + 1) * wide
    ref = outer.remote(log, depth, wide)
    until(lambda: len(begun(log)) == count)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    until(lambda: len(interrupted(log)) == count)


def test_with_force_their_workers_end_too(log, until):
    ref = outer.remote(log, 1)
    until(lambda: len(begun(log)) == 2)
    ray.cancel(ref, force=True)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    until(lambda: ray.available_resources().get("CPU") == 4)


def test_without_recursive_children_run_on(log, until):
    @ray.remote(num_cpus=0.1)
    def short(log):
        ray.get(log.note.remote("child begins"))
        time.sleep(0.3)
        ray.get(log.note.remote("child ends"))

    @ray.remote(num_cpus=0.1)
    def parent(log):
        ray.get(short.remote(log))

    ref = parent.remote(log)
    until(lambda: begun(log))
    ray.cancel(ref, recursive=False)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    until(lambda: "child ends" in ray.get(log.read.remote()))


def test_children_that_have_not_begun_never_do(log, until):
    @ray.remote(num_cpus=0.1)
    def parent(log):
        refs = [leaf.options(num_cpus=4).remote(log, f"{number}") for number in range(5)]
        ray.get(log.note.remote("parent begins"))
        ray.get(refs)

    ref = parent.remote(log)
    until(lambda: "parent begins" in begun(log))
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    until(lambda: ray.available_resources().get("CPU") == 4)
    assert len(begun(log)) < 6, "who waits in get leaves its CPUs to the next; not all began"


def test_calls_of_actors_among_them(log, until):
    @ray.remote(num_cpus=0)
    class Worker:
        def work(self, log):
            ray.get(log.note.remote("call begins"))
            end = time.monotonic() + LONG
            while time.monotonic() < end and not ray.get_runtime_context().is_canceled():
                time.sleep(0.01)
            ray.get(log.note.remote("call interrupted"))

        def ready(self):
            return True

    worker = Worker.remote()

    @ray.remote(num_cpus=0.1)
    def parent(log, worker):
        ray.get(worker.work.remote(log))

    ref = parent.remote(log, worker)
    until(lambda: begun(log))
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    until(lambda: interrupted(log) == ["call interrupted"])
    assert ray.get(worker.ready.remote(), timeout=60), "the actor lives"


@pytest.mark.own
def test_stopping_a_cell_interrupts_calls_of_actors(log, until):
    @ray.remote(num_cpus=0)
    class Worker:
        def work(self, log):
            sleep_noted(log, "call")

        def ready(self):
            return True

    worker = Worker.remote()
    token = session.cell.set("stopped")
    try:
        ref = worker.work.remote(log)
    finally:
        session.cell.reset(token)
    until(lambda: begun(log))
    session.require().cells.cancel("stopped", force=False)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    until(lambda: interrupted(log) == ["call interrupted"])
    assert ray.get(worker.ready.remote(), timeout=60), "the actor lives"


def test_what_a_call_of_an_actor_has_launched(log, until):
    @ray.remote(num_cpus=0)
    class Async:
        async def work(self, log):
            await leaf.remote(log, "of async")

    @ray.remote(num_cpus=0)
    class Plain:
        def work(self, log):
            ray.get(leaf.remote(log, "of plain"))

    for count, kind in enumerate((Async, Plain), 1):
        actor = kind.remote()
        ref = actor.work.remote(log)
        until(lambda count=count: len(begun(log)) == count)
        ray.cancel(ref)
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=60)
        until(lambda count=count: len(interrupted(log)) == count)


def test_a_task_that_another_process_submitted(log, until):
    """Whoever holds a reference may cancel: its owner is told."""

    @ray.remote(num_cpus=0.1)
    def make(log):
        return [leaf.remote(log, "made elsewhere")]

    (ref,) = ray.get(make.remote(log), timeout=60)
    until(lambda: begun(log))
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    until(lambda: interrupted(log))


@pytest.mark.own
def test_a_map_within_a_task(log, until):
    @ray.remote(num_cpus=0.1)
    def parent(log):
        return list(ray.util.map(lambda name: sleep_noted(log, name), ["a", "b"]))

    ref = parent.remote(log)
    until(lambda: begun(log))
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    until(lambda: ray.available_resources().get("CPU") == 4)
