"""Ray's `ray.util.debug`: saying something once (`log_once`).

Owns which keys were asked for in this process.
"""

from __future__ import annotations

import time

PERIOD = 60.0
"""Seconds after which keys count as new, once `enable_periodic_logging` was called."""


class _Once:
    """What was asked for."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.disabled = False
        self.periodic = False
        self.last = 0.0

    def first(self, key: str) -> bool:
        if self.disabled:
            return False
        now = time.monotonic()
        if key not in self.keys:
            self.keys.add(key)
            self.last = now
            return True
        if self.periodic and now - self.last > PERIOD:
            self.keys.clear()
            self.last = now
        return False


_once = _Once()


def log_once(key: str) -> bool:
    """Whether *key* is asked for the first time in this process."""
    return _once.first(key)


def disable_log_once_globally() -> None:
    """`log_once` is False from now on, in this process."""
    _once.disabled = True


def enable_periodic_logging() -> None:
    """`log_once` forgets what it was asked every minute, in this process."""
    _once.periodic = True


def reset_log_once(key: str | None = None) -> None:
    """*key* counts as new again (None: every key)."""
    if key is None:
        _once.keys.clear()
    else:
        _once.keys.discard(key)
