"""How the programs time and report. Runs inside every system measured, so it imports none.

A program takes the module's name and the rows wanted (none: all), and prints
one JSON line a row: what was measured, in the row's unit.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

SLICE = 0.4
"""Seconds of one timed slice; a row is the median of `SLICES` of them."""
SLICES = 3
WARM = 0.4


def module_name() -> str:
    """The system to measure, from the command line."""
    return sys.argv[1]


def wanted(row: str) -> bool:
    """Whether the command line asks for this row."""
    return len(sys.argv) < 3 or row in sys.argv[2:]


def report(row: str, value: float) -> None:
    """Print a figure at once, so that a later row that hangs does not take it along."""
    print(json.dumps({"row": row, "value": value}), flush=True)


def rate(
    row: str,
    work: Callable[[], object],
    units: float = 1.0,
    warm: Callable[[], object] | None = None,
) -> None:
    """Report how often a second *work* does its *units*.

    Args:
        warm: what to do once beforehand instead of *work*, if that takes long.
    """
    if not wanted(row):
        return
    (warm or work)()
    began = time.perf_counter()
    calls = 0
    if warm is None:
        while time.perf_counter() - began < WARM:
            work()
            calls += 1
    step = max(1, int(calls / WARM * 0.01))  # look at the clock every ten milliseconds or so
    figures = []
    for _ in range(SLICES):
        began = time.perf_counter()
        done = 0
        while (passed := time.perf_counter() - began) < SLICE:
            for _ in range(step):
                work()
            done += step
        figures.append(done * units / passed)
        if passed > 8 * SLICE:
            break
    report(row, statistics.median(figures))


def percentile(values: list[float], share: float) -> float:
    """The value below which *share* (0 to 1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
