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
        watcher = session.watcher()
        if watcher is not None and not isinstance(getattr(waiter, "event", None), _WatchedEvent):
            waiter.event = _WatchedEvent(watcher())


class _WatchedEvent(threading.Event):
    """An event for which somebody waits again and again: one wait, for whoever shows bars."""

    def __init__(self, wait: session.Waiting) -> None:
        super().__init__()
        self._wait = wait
        self._begun = False

    def wait(self, timeout: float | None = None) -> bool:
        if self._begun:
            self._wait.resume()
        else:
            self._begun = True
            self._wait.__enter__()
        try:
            return super().wait(timeout)
        finally:
            self._wait.pause()

    def __del__(self) -> None:
        if self._begun:
            self._wait.__exit__(None, None, None)
