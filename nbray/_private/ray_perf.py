"""`ray._private.ray_perf`: what calls, actors and objects cost on one machine.

Owns the rows, called as Ray's benchmark calls them. Does not own the measure
(`ray_microbenchmark_helpers`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from nbray import api
from nbray._private.ray_microbenchmark_helpers import Row, asyncio_timeit, timeit
from nbray.remote import remote

__all__ = ["main"]

MANY = 1_000
REST = 0.5
"""Seconds before each row."""


def _nothing() -> bytes:
    return b"ok"


class _Actor:
    def nothing(self) -> bytes:
        return b"ok"

    def takes(self, _value: Any) -> bytes:
        return b"ok"


class _Async:
    async def nothing(self) -> bytes:
        return b"ok"


def main(results: list[Row | None] | None = None) -> list[Row]:
    """Measure every row that TESTS_TO_RUN and TESTS_TO_SKIP leave; prints a line for each.

    Starts a cluster if none runs, and ends it then.
    """
    rows = [] if results is None else results
    own = not api.is_initialized()
    if own:
        api.init(logging_level="ERROR")
    try:
        _measure(rows)
    finally:
        if own:
            api.shutdown()
    return [row for row in rows if row is not None]


def _measure(rows: list[Row | None]) -> None:
    def row(name: str, function: Any, multiplier: float = 1) -> None:
        rows.extend(timeit(name, function, multiplier, warmup_time_sec=REST))

    small, large = api.put(0), bytes(100 << 20)
    row("single client get calls (Plasma Store)", lambda: api.get(small))
    row("single client put calls (Plasma Store)", lambda: api.put(0))
    row("single client put gigabytes", lambda: api.put(large), 0.1)
    task: Any = remote(_nothing)
    row("single client tasks sync", lambda: api.get(task.remote()))
    row("single client tasks async", lambda: api.get([task.remote() for _ in range(MANY)]), MANY)
    several = [task.remote() for _ in range(MANY)]
    row("single client wait 1k refs", lambda: api.wait(several, num_returns=MANY))
    holder = api.put([api.put(0) for _ in range(10_000)])
    row("single client get object containing 10k refs", lambda: api.get(holder))
    actor: Any = remote(_Actor).remote()
    row("1:1 actor calls sync", lambda: api.get(actor.nothing.remote()))
    row(
        "1:1 actor calls async",
        lambda: api.get([actor.nothing.remote() for _ in range(MANY)]), MANY,
    )  # fmt: skip
    row(
        "1:1 actor calls with arg async",
        lambda: api.get([actor.takes.remote(small) for _ in range(MANY)]), MANY,
    )  # fmt: skip
    threads: Any = remote(_Actor).options(max_concurrency=16).remote()
    row(
        "1:1 actor calls concurrent",
        lambda: api.get([threads.nothing.remote() for _ in range(MANY)]), MANY,
    )  # fmt: skip
    others: Any = remote(_Async).remote()
    row("1:1 async-actor calls sync", lambda: api.get(others.nothing.remote()))
    row(
        "1:1 async-actor calls async",
        lambda: api.get([others.nothing.remote() for _ in range(MANY)]), MANY,
    )  # fmt: skip

    async def awaited() -> None:
        await task.remote()

    async def measured() -> None:
        rows.extend(await asyncio_timeit("single client await calls", awaited, 1, REST))

    asyncio.run(measured())


if __name__ == "__main__":
    main()
