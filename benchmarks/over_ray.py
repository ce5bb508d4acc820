"""The engine over Ray beside bare Ray, in one process and on one cluster, in turns.

    python -m benchmarks.over_ray

Each figure is the median of its rounds; the ratio is that of the two medians. Asked for (issue
"The same notebook on a Ray cluster"): tasks at least 0.7 times, one task at a time at most 1.3
times, `nbray.util.map` of tiny items at least 100 times bare Ray's tasks, a large value within 1.1.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import nbray
import nbray.util

ROUNDS = 7
TASKS = 1_000
ONE_BY_ONE = 200
ITEMS = 400_000
LARGE = 100_000_000
"""Numbers of 8 bytes."""


def took(work: Callable[[], object]) -> float:
    """Seconds for *work*."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def paired(name: str, mine: Callable[[], object], bare: Callable[[], object], rounds: int) -> float:
    """Measure both in turns, print, and give mine/bare in seconds."""
    mine(), bare()  # workers are started, functions sent
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        seconds[0].append(took(mine))
        seconds[1].append(took(bare))
    own, theirs = map(statistics.median, seconds)
    print(f"{name}: nbray {own:.4f} s, Ray {theirs:.4f} s, {own / theirs:.2f} times the seconds")
    return theirs


def main() -> None:
    """Print all figures."""
    import ray

    nbray.init(engine="ray", address="local", num_cpus=2)

    def same(x: int) -> int:
        return x

    mine, bare = nbray.remote(same), ray.remote(same)
    seconds = paired(
        f"{TASKS} tasks",
        lambda: nbray.get([mine.remote(i) for i in range(TASKS)]),
        lambda: ray.get([bare.remote(i) for i in range(TASKS)]),
        ROUNDS,
    )
    paired(
        f"{ONE_BY_ONE} tasks one at a time",
        lambda: [nbray.get(mine.remote(i)) for i in range(ONE_BY_ONE)],
        lambda: [ray.get(bare.remote(i)) for i in range(ONE_BY_ONE)],
        ROUNDS,
    )
    mapped = statistics.median(
        took(lambda: sum(nbray.util.map(same, range(ITEMS)))) for _ in range(3)
    )
    ratio = ITEMS / mapped / (TASKS / seconds)
    print(f"map: {ITEMS / mapped:,.0f} items/s, {ratio:,.0f} times Ray's tasks/s")
    import numpy as np

    value = np.arange(LARGE, dtype="f8")
    paired(
        f"put and get of {value.nbytes >> 20} MiB",
        lambda: nbray.get(nbray.put(value)), lambda: ray.get(ray.put(value)), 5,
    )  # fmt: skip
    nbray.shutdown()


if __name__ == "__main__":
    main()
