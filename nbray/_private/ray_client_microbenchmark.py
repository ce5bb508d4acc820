"""`ray._private.ray_client_microbenchmark`: the rows of Ray's microbenchmark in client mode.

Owns what they do. A client of nbray's is a driver, see `stand_ins.util.client`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbray._private.ray_microbenchmark_helpers import Row, timeit
from nbray.api import get, init, put
from nbray.remote import remote

ARRAY_BYTES = 800 << 20
GIGABYTES = 0.8
MANY = 1000


@remote
def _small_value() -> bytes:
    return b"ok"


@remote
def _put_many() -> None:
    for _ in range(100):
        put(0)


class _Small:
    def small_value(self) -> bytes:
        return b"ok"


_Actor: Any = remote(num_cpus=0)(_Small)


def _get() -> Callable[[], Any]:
    value = put(0)
    return lambda: get(value)


def _put() -> Callable[[], Any]:
    return lambda: put(0)


def _put_large() -> Callable[[], Any]:
    import numpy as np

    array = np.zeros(ARRAY_BYTES // 8, dtype=np.int64)
    return lambda: put(array)


def _tasks() -> Callable[[], Any]:
    return lambda: get([_small_value.remote() for _ in range(MANY)])


def _puts_of_tasks() -> Callable[[], Any]:
    return lambda: get([_put_many.remote() for _ in range(10)])


def _one_call() -> Callable[[], Any]:
    actor = _Actor.remote()
    return lambda: get(actor.small_value.remote())


def _calls(**options: Any) -> Callable[[], Any]:
    actor = _Actor.options(**options).remote()
    return lambda: get([actor.small_value.remote() for _ in range(MANY)])


ROWS: tuple[tuple[str, Callable[[], Callable[[], Any]], float], ...] = (
    ("client: get calls", _get, 1),
    ("client: put calls", _put, 1),
    ("client: put gigabytes", _put_large, GIGABYTES),
    ("client: tasks and put batch", _puts_of_tasks, MANY),
    ("client: 1:1 actor calls sync", _one_call, 1),
    ("client: 1:1 actor calls async", _calls, MANY),
    ("client: 1:1 actor calls concurrent", lambda: _calls(max_concurrency=16), MANY),
    ("client: tasks and get batch", _tasks, 1),
)
"""Name, what makes the call that is measured, and what one call counts for."""


def main(results: list[Row | None] | None = None) -> list[Row | None]:
    """Measure all rows; they are appended to *results*."""
    rows = results or []
    for name, make, multiplier in ROWS:
        with init():
            rows += timeit(name, make(), multiplier)
    return rows
