"""Ray's `ray.util.as_completed` and `map_unordered`: results, some at a time, as they come.

Owns when they ask for more. (`nbray.as_completed` gives references, each as it ends.)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nbray.api import get, wait
from nbray.refs import ObjectRef

CHUNK = 10
"""References that are waited for together."""
IN_FLIGHT = 100
"""Calls that may be on their way before results are asked for."""


def as_completed(
    refs: Sequence[ObjectRef[Any]], *, chunk_size: int = CHUNK, yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:  # fmt: skip
    """The values of *refs* as they come, *chunk_size* at a time.

    Args:
        yield_obj_refs: give references instead of values.
        kwargs: further arguments of `wait`: `timeout`, `fetch_local`.

    Raises:
        ValueError: while iterating, a bad *chunk_size*, or `num_returns` is given.
        Exception: while iterating, what `get` raises for one that failed.
    """
    _check(chunk_size, kwargs)
    rest = list(refs)
    while rest:
        ready, rest = wait(rest, num_returns=min(chunk_size, len(rest)), **kwargs)
        yield from ready if yield_obj_refs else get(ready)


def map_unordered(
    fn: Any, items: Iterable[Any], *, backpressure_size: int | None = IN_FLIGHT,
    chunk_size: int = CHUNK, yield_obj_refs: bool = False, **kwargs: Any,
) -> Iterator[Any]:  # fmt: skip
    """The results of `fn.remote(item)` for each item, as they come (see `as_completed`).

    Args:
        backpressure_size: calls on their way at which results are waited for (None: none).

    Raises:
        ValueError: while iterating, an argument is out of range.
    """
    if backpressure_size is not None and backpressure_size <= 0:
        raise ValueError("backpressure_size must be positive.")
    _check(chunk_size, kwargs)
    refs: list[ObjectRef[Any]] = []
    source = iter(items)
    while True:
        room = None if backpressure_size is None else max(1, backpressure_size - len(refs))
        more = [fn.remote(item) for item in itertools.islice(source, room)]
        refs.extend(more)
        if not more or backpressure_size is None:
            break
        if len(refs) >= backpressure_size:
            ready, refs = wait(refs, num_returns=min(chunk_size, len(refs)), **kwargs)
            yield from ready if yield_obj_refs else get(ready)
    yield from as_completed(refs, chunk_size=chunk_size, yield_obj_refs=yield_obj_refs, **kwargs)


def _check(chunk_size: int, kwargs: dict[str, Any]) -> None:
    if chunk_size < 1:
        raise ValueError("`chunk_size` must be >= 1")
    if "num_returns" in kwargs:
        raise ValueError("Use the `chunk_size` argument instead of `num_returns`.")
