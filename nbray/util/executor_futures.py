"""Futures whose waits show bars: one by one, and by `concurrent.futures.wait` and `as_completed`.

Owns how a wait is noticed. Does not own what completes a future (`executor`).

Rule: whoever waits for several puts a waiter into each, and waits for its event. In the place of
that event goes one that tells; a future that nobody waits for so costs an empty list.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent import futures
from typing import Any

from nbray import session
from nbray.util.long_wait import LongWait


class ExecutorFuture(futures.Future[Any]):
    """A future whose waits show bars."""

    def __init__(self) -> None:
        super().__init__()
        self._waiters = _Waiters()

    def result(self, timeout: float | None = None) -> Any:
        """As every future's."""
        with _watched(self):
            return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As every future's."""
        with _watched(self):
            return super().exception(timeout)


def _watched(future: futures.Future[Any]) -> contextlib.AbstractContextManager[Any]:
    watcher = session.watcher()
    return contextlib.nullcontext() if watcher is None or future.done() else watcher()


class _Waiters(list[Any]):
    """Who waits for a future, and for others with it."""

    def append(self, waiter: Any) -> None:
        super().append(waiter)
        event = getattr(waiter, "event", None)
        if session.watcher() is not None and not isinstance(event, _WatchedEvent):
            waiter.event = _WatchedEvent()


class _WatchedEvent(threading.Event):
    """An event for which somebody waits again and again, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self._waits = LongWait()

    def wait(self, timeout: float | None = None) -> bool:
        with self._waits:
            return super().wait(timeout)
