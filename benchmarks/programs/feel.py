"""What a user feels before and beside the work: start, idle memory, spread, latency."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time

import psutil
from timing import module_name, percentile, report, wanted

NAME = module_name()
FIRST = f"""
import time
began = time.perf_counter()
import {NAME} as ray
imported = time.perf_counter()
ray.init(num_cpus=2)
@ray.remote
def one():
    return 1
assert ray.get(one.remote()) == 1
print(imported - began, time.perf_counter() - began)
ray.shutdown()
"""
QUEUED = 1000


def fresh():
    """Import, and start to first result, in a new interpreter (its own start taken off)."""
    if wanted("import") or wanted("start to first result"):
        for _ in range(2):  # the first finds files cold, or not yet compiled, after an installation
            done = subprocess.run(
                [sys.executable, "-c", FIRST], check=True, stdout=subprocess.PIPE, text=True
            )
        imported, first = map(float, done.stdout.split()[-2:])
        report("import", imported)
        report("start to first result", first)


def idle_memory(ray, nothing):
    """MB (USS) of everything that runs beside the driver, two idle workers included."""
    if not wanted("idle memory"):
        return
    ray.get([nothing.remote() for _ in range(100)])
    time.sleep(1.0)
    family = psutil.Process(os.getpid()).children(recursive=True)
    report("idle memory", sum(process.memory_full_info().uss for process in family) / 1e6)


def spread(ray):
    """10,000 sleeps of 1 ms on two CPUs against the same in plain loops, in percent."""
    if not wanted("spread efficiency"):
        return

    @ray.remote
    def sleep():
        time.sleep(0.001)

    began = time.perf_counter()
    for _ in range(2000):
        time.sleep(0.001)
    ideal = 5 * (time.perf_counter() - began) / 2
    ray.get([sleep.remote() for _ in range(100)])
    began = time.perf_counter()
    ray.get([sleep.remote() for _ in range(10_000)])
    report("spread efficiency", 100 * ideal / (time.perf_counter() - began))


def beside(ray):
    """Milliseconds of one call while a thousand tasks are queued."""
    if not (wanted("call beside 1,000 queued tasks, p50")
            or wanted("call beside 1,000 queued tasks, p99")):  # fmt: skip
        return

    @ray.remote
    def work():
        began = time.perf_counter()
        while time.perf_counter() - began < 0.004:
            pass

    @ray.remote(num_cpus=0)
    class Other:
        def call(self):
            return None

    other = Other.remote()
    ray.get([other.call.remote() for _ in range(100)])
    ray.get([work.remote() for _ in range(50)])
    times = []
    queued = [work.remote() for _ in range(QUEUED)]
    while len(times) < 400:
        began = time.perf_counter()
        ray.get(other.call.remote())
        times.append(1000 * (time.perf_counter() - began))
        _, left = ray.wait(queued, num_returns=len(queued), timeout=0)
        queued = left + [work.remote() for _ in range(QUEUED - len(left))]
        time.sleep(0.002)
    report("call beside 1,000 queued tasks, p50", percentile(times, 0.5))
    report("call beside 1,000 queued tasks, p99", percentile(times, 0.99))
    ray.get(queued)


def behind(ray, nothing):
    """Milliseconds of one task submitted after a thousand no-op tasks."""
    if not (wanted("task behind 1,000 queued ones, p50")
            or wanted("task behind 1,000 queued ones, p99")):  # fmt: skip
        return
    times = []
    ended = time.perf_counter() + 3
    while len(times) < 10 or (time.perf_counter() < ended and len(times) < 100):
        queued = [nothing.remote() for _ in range(QUEUED)]
        began = time.perf_counter()
        ray.get(nothing.remote())
        times.append(1000 * (time.perf_counter() - began))
        ray.get(queued)
    report("task behind 1,000 queued ones, p50", percentile(times, 0.5))
    report("task behind 1,000 queued ones, p99", percentile(times, 0.99))


def main():
    fresh()
    ray = importlib.import_module(NAME)
    ray.init(num_cpus=2)

    @ray.remote
    def nothing():
        return None

    idle_memory(ray, nothing)
    spread(ray)
    beside(ray)
    behind(ray, nothing)
    ray.shutdown()


if __name__ == "__main__":
    main()
