"""`as_completed` and `progress`: references in the order in which their tasks end.

Owns the iteration, in threads and in coroutines. Does not own waiting (`api.wait`)
nor bars (whoever watches the session's waits). Rule: what ends is handed out at
once; of what is ready at the same look, the first given comes first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Self

from nbray import session
from nbray.api import check_timeout, wait
from nbray.exceptions import GetTimeoutError
from nbray.refs import ObjectRef

SLICE = 0.2
"""Seconds after which a coroutine's thread looks whether anybody still waits."""


class Completed:
    """References as they complete; made by `as_completed` and `progress`.

    Works in `for` and in `async for`. `close()` ends the iteration; the tasks go on.
    """

    def __init__(
        self, refs: list[ObjectRef[Any]], timeout: float | None, bar: bool = False
    ) -> None:
        self._rest = refs
        self._ready: deque[ObjectRef[Any]] = deque()
        self._timeout = timeout
        self._until = None if timeout is None else time.monotonic() + timeout
        self._bar = bar
        self._total = len(refs)
        self._closed = False
        self._shown: session.Waiting | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ObjectRef[Any]:
        self._begin()
        try:
            while not self._look(None):
                pass
        except BaseException:
            self.close()
            raise
        return self._take(StopIteration)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ObjectRef[Any]:
        import asyncio

        self._begin()
        try:
            while not self._ready and not await asyncio.to_thread(self._look, SLICE):
                pass
        except BaseException:
            self.close()
            raise
        return self._take(StopAsyncIteration)

    def _look(self, most: float | None) -> bool:
        """Wait for the next ones, *most* seconds; whether that is over."""
        if self._ready or not self._rest or self._closed:
            return True
        pause = most
        if self._until is not None:
            left = max(0.0, self._until - time.monotonic())
            pause = left if most is None else min(left, most)
        ready, rest = wait(self._rest, timeout=pause, fetch_local=False)
        if ready and rest:
            # All that are ready, so that a long list is not gone through for each.
            more, rest = wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)
            ready = [*ready, *more]
        self._ready.extend(ready)
        self._rest = rest
        if not ready and self._until is not None and time.monotonic() >= self._until:
            raise GetTimeoutError(
                f"{len(rest)} of {self._total} references were not ready within "
                f"{self._timeout:g} s (their tasks go on)"
            )
        return bool(ready)

    def _begin(self) -> None:
        if not self._bar or self._closed:
            return
        if self._shown is not None:
            self._shown.resume()
            return
        watcher = session.watcher()
        if watcher is not None and self._rest:
            self._shown = watcher(at_once=True)
            self._shown.__enter__()

    def _take(self, end: type[Exception]) -> ObjectRef[Any]:
        if not self._ready:
            self.close()
            raise end
        if self._shown is not None:
            self._shown.pause()
        return self._ready.popleft()

    def close(self) -> None:
        """Hand out nothing more."""
        self._closed = True
        self._ready.clear()
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.__exit__(None, None, None)

    def __del__(self) -> None:
        if getattr(self, "_shown", None) is not None:
            self.close()

    def __repr__(self) -> str:
        left = len(self._rest) + len(self._ready)
        return f"<{self._total - left:,} of {self._total:,} completed>"


def _checked(refs: Iterable[Any], name: str) -> list[ObjectRef[Any]]:
    if isinstance(refs, ObjectRef) or not isinstance(refs, Iterable):
        raise TypeError(f"{name}() takes several ObjectRefs, not {type(refs).__name__}")
    found = list(dict.fromkeys(refs))
    for ref in found:
        if not isinstance(ref, ObjectRef):
            kind = type(ref).__name__
            raise TypeError(f"{name}() takes ObjectRefs, and one of these is of type {kind}")
    return found


def as_completed(refs: Iterable[ObjectRef[Any]], timeout: float | None = None) -> Completed:
    """The references in the order in which they complete: `for ref in nbray.as_completed(refs)`.

    A failed task is complete as well, and `nbray.get(ref)` raises its error. A reference
    given twice comes once. In a coroutine: `async for ref in nbray.as_completed(refs)`.

    Args:
        timeout: seconds from this call, as with `concurrent.futures` (None: no limit).

    Raises:
        TypeError, ValueError: an argument is of the wrong kind, or the time is negative.
        GetTimeoutError: while iterating, also a `TimeoutError`: the time ran out.
    """
    check_timeout(timeout)
    return Completed(_checked(refs, "as_completed"), timeout)


def progress(refs: Iterable[ObjectRef[Any]]) -> Completed:
    """The same with bars from the start: `for ref in nbray.progress(refs): ...`.

    The bars count the cell's work (in a script, the script's), node by node, and
    say why work waits. Without a notebook or terminal there are none, and nothing
    else changes. In a coroutine: `async for ref in nbray.progress(refs)`.

    Raises:
        TypeError: an argument is no reference.
    """
    return Completed(_checked(refs, "progress"), None, bar=True)
