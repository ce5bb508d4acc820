"""`ray._private.ray_microbenchmark_helpers`: how Ray's microbenchmark measures its rows.

Owns the measure: a pause, a second to warm up, then the rate in each of four spans of two seconds.
TESTS_TO_RUN and TESTS_TO_SKIP in the environment choose rows by a part of their names.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from nbray.api import init, shutdown

__all__ = ["Row", "asyncio_timeit", "ray_setup_and_teardown", "timeit"]

Row = tuple[str, float, float]
"""Name; calls a second, and their standard deviation over the spans."""
SPANS = 4
SPAN = 2.0
"""Seconds, at least."""
WARM = 1.0
"""Seconds of calls that do not count."""


def timeit(
    name: str, fn: Callable[[], Any], multiplier: float = 1, warmup_time_sec: float = 10
) -> list[Row | None]:
    """Measure *fn* and print a line.

    Args:
        multiplier: what one call counts for.
        warmup_time_sec: seconds of rest before.

    Returns:
        One row; [None] where it was not asked for.
    """
    if not _wanted(name):
        return [None]
    time.sleep(warmup_time_sec)
    step = _step(_calls(fn, WARM, 1)[0])
    return [_row(name, [multiplier * _rate(*_calls(fn, SPAN, step)) for _ in range(SPANS)])]


async def asyncio_timeit(
    name: str, async_fn: Callable[[], Awaitable[Any]], multiplier: float = 1,
    warmup_time_sec: float = 10,
) -> list[Row | None]:  # fmt: skip
    """The same for a coroutine function."""
    if not _wanted(name):
        return [None]
    time.sleep(warmup_time_sec)  # noqa: ASYNC251 - nothing else is to go on meanwhile
    step = _step((await _awaited(async_fn, WARM, 1))[0])
    rates = [multiplier * _rate(*await _awaited(async_fn, SPAN, step)) for _ in range(SPANS)]
    return [_row(name, rates)]


@contextlib.contextmanager
def ray_setup_and_teardown(**init_args: Any) -> Iterator[None]:
    """`init(**init_args)`, and `shutdown` at the end."""
    init(**init_args)
    try:
        yield
    finally:
        shutdown()


def _wanted(name: str) -> bool:
    skip = os.environ.get("TESTS_TO_SKIP", "")
    return os.environ.get("TESTS_TO_RUN", "") in name and not (skip and skip in name)


def _step(calls: int) -> int:
    """How many calls are made between two looks at the clock."""
    return calls // 10 + 1


def _calls(fn: Callable[[], Any], seconds: float, step: int) -> tuple[int, float]:
    """(calls, seconds) of calling *fn* for *seconds*, or a little longer."""
    count, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        for _ in range(step):
            fn()
        count += step
    return count, passed


async def _awaited(
    fn: Callable[[], Awaitable[Any]], seconds: float, step: int
) -> tuple[int, float]:
    count, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        for _ in range(step):
            await fn()
        count += step
    return count, passed


def _rate(calls: int, seconds: float) -> float:
    return calls / seconds


def _row(name: str, rates: list[float]) -> Row:
    mean, spread = statistics.fmean(rates), statistics.pstdev(rates)
    print(name, "per second", round(mean, 2), "+-", round(spread, 2), flush=True)
    return name, mean, spread
