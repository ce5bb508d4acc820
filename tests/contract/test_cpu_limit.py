"""`num_cpus` is a limit: however tasks wait, no more of them run than there are CPUs.

The cluster has four CPUs; what runs here takes two each, so two may run at once.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from api import ray

pytestmark = pytest.mark.concurrent


def at_once(spans) -> int:
    """How many of the spans (start, end) overlap at most."""
    edges = sorted([(a, 1) for a, _ in spans] + [(b, -1) for _, b in spans])
    return max(itertools.accumulate(step for _, step in edges))


def spin(seconds: float) -> tuple[float, float]:
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        pass
    return start, time.monotonic()


@ray.remote(num_cpus=2)
def child(seconds):
    return [spin(seconds)]


@ray.remote(num_cpus=2)
def reads(refs, seconds):
    spans = [spin(seconds)]
    for ref in refs:
        ray.get(ref)
        spans.append(spin(seconds))
    return spans


@ray.remote(num_cpus=2)
def nests(seconds, depth=1):
    spans = [spin(seconds)]
    for _ in range(2):
        spans += ray.get(nests.remote(seconds, depth - 1) if depth else child.remote(seconds))
        spans.append(spin(seconds))
    return spans


@ray.remote(num_cpus=2)
def picks(seconds):
    """Takes what is ready, with time-outs that pass."""
    spans, left = [], [child.remote(seconds) for _ in range(3)]
    while left:
        ready, left = ray.wait(left, timeout=seconds / 2)
        spans.append(spin(seconds))
        spans += [span for ref in ready for span in ray.get(ref)]
    return spans


@ray.remote(num_cpus=2)
def fails(seconds):
    spans = [spin(seconds)]
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            ray.get(broken.remote())
        spans.append(spin(seconds))
    return spans


@ray.remote(num_cpus=2)
def broken():
    return 1 / 0


@ray.remote(num_cpus=2)
class Holder:
    def work(self, seconds):
        return [spin(seconds), *ray.get(child.remote(seconds)), spin(seconds)]


@ray.remote
class Shelf:
    def __init__(self):
        self.value = 0

    def take(self):
        self.value += 1
        return self.value


@ray.remote(num_cpus=2)
def asks(shelf, seconds):
    spans = []
    for _ in range(5):
        ray.get(shelf.take.remote())
        spans.append(spin(seconds))
    return spans


def stored():
    refs = [ray.put(np.ones(20_000)) for _ in range(4)]
    return [reads.remote([ref], 0.002) for ref in refs for _ in range(10)]


def foreign():
    slow = [child.remote(0.01) for _ in range(4)]
    return [reads.remote(slow, 0.002) for _ in range(10)]


def asking():
    shelf = Shelf.remote()
    return [asks.remote(shelf, 0.002) for _ in range(10)]


def holding():
    actors = [Holder.remote(), Holder.remote()]
    return [actor.work.remote(0.005) for actor in actors for _ in range(4)]


SHAPES = {
    "stored values": stored,
    "values that others make": foreign,
    "children": lambda: [nests.remote(0.005, 0) for _ in range(8)],
    "grandchildren": lambda: [nests.remote(0.002, 2) for _ in range(3)],
    "waits that run out of time": lambda: [picks.remote(0.01) for _ in range(4)],
    "failures": lambda: [fails.remote(0.005) for _ in range(6)],
    "an actor's answers": asking,
    "actors that hold CPUs": holding,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_more_run_than_there_are_cpus(shape):
    spans = [span for part in ray.get(SHAPES[shape](), timeout=60) for span in part]
    assert at_once(spans) <= 2


@pytest.mark.own
def test_items_of_a_map_over_what_captured_an_array(until):
    until(lambda: ray.available_resources().get("CPU", 0) == 4)
    array = np.ones(40_000)

    def item(_):
        array.sum()
        return spin(0.001)

    assert at_once(list(ray.util.map(ray.remote(num_cpus=2)(item), range(600)))) <= 2


def test_coroutines_that_await_hold_no_cpu():
    @ray.remote
    class Gathers:
        async def all(self, count):
            return await asyncio.gather(*[child.remote(0.005) for _ in range(count)])

    spans = [span for part in ray.get(Gathers.remote().all.remote(8), timeout=60) for span in part]
    assert at_once(spans) <= 2


# -- and nothing waits for ever -----------------------------------------------------------


def test_threads_of_a_task_may_wait_for_its_children():
    """The main thread waits for its pool, which nbray does not see."""

    @ray.remote(num_cpus=4)
    def pooled():
        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(lambda i: ray.get(double.remote(i)), range(8)))

    @ray.remote(num_cpus=4)
    def double(i):
        return 2 * i

    assert ray.get(pooled.remote(), timeout=60) == 56


def test_who_has_run_out_of_time_can_cancel_what_has_its_cpu():
    @ray.remote(num_cpus=4)
    def endless():
        while True:
            time.sleep(0.01)

    @ray.remote(num_cpus=4)
    def watches():
        ref = endless.remote()
        ready, _ = ray.wait([ref], timeout=0.2)
        ray.cancel(ref)
        return len(ready)

    assert ray.get(watches.remote(), timeout=60) == 0


def test_who_is_cancelled_waits_for_no_cpu():
    @ray.remote(num_cpus=4)
    def naps():
        time.sleep(0.3)
        return 1

    @ray.remote(num_cpus=4)
    def parent():
        return ray.get([naps.remote() for _ in range(40)])

    ref = parent.remote()
    time.sleep(0.3)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    assert ray.get(naps.remote(), timeout=60) == 1
