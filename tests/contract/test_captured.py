"""What functions and classes take along lives as long as work that needs it, and no longer."""

from __future__ import annotations

import gc
import os
import signal
import time

import pytest
from api import ray

LARGE = 3_000_000


@pytest.fixture
def busy():
    """Nothing that is submitted within the test starts before `busy()` is called."""

    @ray.remote(num_cpus=4)
    class Gate:
        def __init__(self):
            self.open = False

        def ready(self):
            return True

    gate = Gate.remote()
    ray.get(gate.ready.remote())

    def leave():
        ray.kill(gate)

    yield leave
    leave()


def of_array():
    data = bytes(LARGE)
    return lambda: len(data)


def of_reference():
    ref = ray.put(b"x" * LARGE)
    return lambda: len(ray.get(ref))


def of_small_reference():
    ref = ray.put(3)
    return lambda: ray.get(ref) * 1_000_000


def of_handle():
    @ray.remote(num_cpus=0)
    class Holder:
        def size(self):
            return LARGE

    holder = Holder.remote()
    return lambda: ray.get(holder.size.remote())


def of_nested_function():
    ref = ray.put(LARGE)

    @ray.remote(num_cpus=0)
    def inner():
        return ray.get(ref)

    return lambda: ray.get(inner.remote())


def of_container():
    found = {"refs": [ray.put(1_000_000) for _ in range(3)]}
    return lambda: sum(ray.get(found["refs"]))


def of_default():
    refs = [ray.put(LARGE)]
    return lambda refs=refs: ray.get(refs[0])


MAKERS = [
    of_array, of_reference, of_small_reference, of_handle, of_nested_function, of_container,
    of_default,
]  # fmt: skip


@pytest.mark.concurrent
@pytest.mark.filterwarnings("ignore:.*takes.*along")
@pytest.mark.parametrize("make", MAKERS)
def test_a_waiting_task_keeps_what_its_function_took_along(make, busy):
    function = ray.remote(make())
    refs = [function.remote(), function.options(num_cpus=0.5, name="other").remote()]
    del function
    refs.append(ray.remote(make()).options(max_retries=0).remote())
    gc.collect()
    ray.get(ray.put(0))
    busy()
    assert ray.get(refs, timeout=60) == [LARGE] * 3


@pytest.mark.concurrent
def test_a_task_that_waits_for_its_argument_keeps_it():
    ref = ray.put(5)

    @ray.remote
    def late():
        time.sleep(0.3)
        return 1

    result = ray.remote(lambda x, ref=ref: x + ray.get(ref)).remote(late.remote())
    del ref
    gc.collect()
    assert ray.get(result, timeout=60) == 6


@pytest.mark.concurrent
def test_a_task_that_is_tried_again_keeps_it(tmp_path):
    ref = [ray.put(b"y" * LARGE)]

    def first_time():
        try:
            (tmp_path / "marker").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def crash():
        if first_time():
            os.kill(os.getpid(), signal.SIGKILL)
        return len(ray.get(ref[0]))

    function = ray.remote(crash)
    result = function.remote()
    ref.clear()
    del function
    gc.collect()
    assert ray.get(result, timeout=60) == LARGE


@pytest.mark.concurrent
def test_a_task_of_a_task_keeps_what_belongs_to_a_third():
    """The function is the worker's own, what it captured the driver's."""
    ref = ray.put(b"z" * LARGE)

    @ray.remote(num_cpus=0.1)
    def outer(given):
        def work(inner=given):
            time.sleep(0.2)
            return len(ray.get(inner[0]))

        return [ray.remote(num_cpus=0.1)(work).remote()]

    result = outer.remote([ref])
    del ref
    gc.collect()
    (inner,) = ray.get(result, timeout=60)
    del result
    assert ray.get(inner, timeout=60) == LARGE


def class_of(ref):
    @ray.remote(max_restarts=2, max_task_retries=2, num_cpus=0)
    class Keeper:
        kept = [ref]

        def size(self):
            return len(ray.get(self.kept[0]))

        def crash(self):
            os.kill(os.getpid(), signal.SIGKILL)

    return Keeper


@pytest.mark.concurrent
@pytest.mark.parametrize("lifetime", [None, "detached"])
def test_an_actor_keeps_what_its_class_took_along_as_long_as_it_may_restart(lifetime):
    Keeper = class_of(ray.put(b"k" * LARGE))
    name = f"keeper-{lifetime}"
    keeper = Keeper.options(name=name, lifetime=lifetime).remote()
    del Keeper
    gc.collect()
    assert ray.get(keeper.size.remote(), timeout=60) == LARGE
    if lifetime:
        del keeper  # it lives on, and may be found and started again
        gc.collect()
        ray.get(ray.put(0))
        keeper = ray.get_actor(name)
    keeper.crash.options(max_task_retries=0).remote()
    assert ray.get(keeper.size.remote(), timeout=60) == LARGE
    ray.kill(keeper)


@pytest.mark.own  # Ray loses what is inside them
@pytest.mark.concurrent
def test_an_actor_keeps_its_arguments_as_long_as_it_may_restart():
    @ray.remote(max_restarts=1, max_task_retries=1, num_cpus=0, lifetime="detached", name="args")
    class Keeper:
        def __init__(self, value, inside):
            self.sizes = len(value), len(ray.get(inside[0]))

        def read(self):
            return self.sizes

        def crash(self):
            os.kill(os.getpid(), signal.SIGKILL)

    Keeper.remote(ray.put(b"a" * LARGE), [ray.put(b"b" * LARGE)])
    gc.collect()
    keeper = ray.get_actor("args")
    assert ray.get(keeper.read.remote(), timeout=60) == (LARGE, LARGE)
    keeper.crash.options(max_task_retries=0).remote()
    assert ray.get(keeper.read.remote(), timeout=60) == (LARGE, LARGE)
    ray.kill(keeper)


@pytest.mark.concurrent
def test_a_call_keeps_what_its_function_took_along(Counter):
    counter = Counter.options(num_cpus=0).remote()
    ref = ray.put(b"c" * LARGE)
    slow = counter.__ray_call__.remote(lambda _self: time.sleep(0.3))
    result = counter.__ray_call__.remote(lambda _self, ref=ref: len(ray.get(ref)))
    del ref, counter
    gc.collect()
    assert ray.get([slow, result], timeout=60)[1] == LARGE


@pytest.mark.own
@pytest.mark.concurrent
def test_a_map_keeps_what_its_function_took_along():
    ref = ray.put(b"m" * LARGE)
    found = ray.util.map(lambda x, ref=ref: (time.sleep(0.02), len(ray.get(ref)) + x)[1], range(8))
    del ref
    gc.collect()
    assert list(found) == [LARGE + x for x in range(8)]


@pytest.mark.own
@pytest.mark.concurrent
def test_what_a_definition_took_along_is_freed_everywhere_when_it_goes(until):
    """Workers have loaded the function, and borrow what it captured."""

    def run(number):
        ref = ray.put([b"%d" % number * LARGE])
        assert ray.get(ray.remote(lambda: len(ray.get(ref))).remote(), timeout=60) == 1
        return ref.binary()

    gone = {run(number) for number in range(5)}
    gc.collect()

    def left():
        held = {
            f"{one.object.owner:016x}{one.object.seq:016x}"
            for one in ray.session.current().insight.holdings()
        }
        return held & {name.hex() for name in gone}

    until(lambda: not left())
