"""The rows: each a function that measures once and returns one figure.

Owns what is measured. Does not own repetition or printing (`__main__`). Rule:
a row starts from nothing where the user does, and uses the public API only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

import nbray

FIRST = """
import time
began = time.perf_counter()
from nbray import init
init(num_cpus=2)
import nbray
@nbray.remote
def one():
    return 1
assert nbray.get(one.remote()) == 1
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    unit: str
    measure: Callable[[], float]
    target: float
    """What the project asks for."""
    lower_is_better: bool = False
    runs: int = 5


@contextmanager
def cluster(cpus: int = 2) -> Iterator[None]:
    """A local cluster for one measurement."""
    nbray.init(num_cpus=cpus, engine="native")
    try:
        yield
    finally:
        nbray.shutdown()


@nbray.remote
def nothing() -> None:
    """A no-op task."""


def import_time() -> float:
    """Seconds to import nbray in a new interpreter, the interpreter's own start taken off."""
    code = "import time; t = time.perf_counter(); import nbray; print(time.perf_counter() - t)"
    return float(_python(code))


def first_result() -> float:
    """Seconds from the import to the first task's result, in a new interpreter."""
    return float(_python(FIRST))


def _python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.splitlines()[-1]


def idle_memory() -> float:
    """MB (USS) of root, head, node and two idle workers together."""
    with cluster():
        nbray.get([nothing.remote() for _ in range(100)])
        time.sleep(1.0)
        family = psutil.Process(os.getpid()).children(recursive=True)
        return sum(process.memory_full_info().uss for process in family) / 1e6


def idle_processes() -> float:
    """How many processes `idle_memory` counts."""
    with cluster():
        nbray.get(nothing.remote())
        time.sleep(0.3)
        return len(psutil.Process(os.getpid()).children(recursive=True))


def tasks_async() -> float:
    """Tasks a second: 1,000 no-op tasks submitted, then fetched together."""
    with cluster():
        nbray.get([nothing.remote() for _ in range(200)])
        best: list[float] = []
        for _ in range(10):
            began = time.perf_counter()
            nbray.get([nothing.remote() for _ in range(1000)])
            best.append(1000 / (time.perf_counter() - began))
        return sorted(best)[len(best) // 2]


def tasks_sync() -> float:
    """Tasks a second: one at a time."""
    with cluster():
        nbray.get([nothing.remote() for _ in range(200)])
        began = time.perf_counter()
        for _ in range(1000):
            nbray.get(nothing.remote())
        return 1000 / (time.perf_counter() - began)


def spread_efficiency() -> float:
    """10,000 sleeps of 1 ms on two CPUs against the same in a plain loop over two, in percent."""

    @nbray.remote
    def sleep() -> None:
        time.sleep(0.001)

    began = time.perf_counter()
    for _ in range(10_000):
        time.sleep(0.001)
    ideal = (time.perf_counter() - began) / 2
    with cluster():
        nbray.get([sleep.remote() for _ in range(100)])
        began = time.perf_counter()
        nbray.get([sleep.remote() for _ in range(10_000)])
        return 100 * ideal / (time.perf_counter() - began)


ROWS = [
    Row("import", "s", import_time, 0.1, lower_is_better=True),
    Row("start to first result, import included", "s", first_result, 0.6, lower_is_better=True),
    Row("idle memory (USS): root, head, node, two workers", "MB", idle_memory, 90,
        lower_is_better=True, runs=3),
    Row("1,000 no-op tasks, submitted then fetched", "tasks/s", tasks_async, 20_000),
    Row("no-op tasks, one at a time", "tasks/s", tasks_sync, 4_800),
    Row("10,000 sleeps of 1 ms on two CPUs, of the ideal", "%", spread_efficiency, 87, runs=3),
]
