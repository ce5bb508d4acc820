"""For how long this process's main thread has waited for a CPU that others had.

Owns reading it from Linux, now and then. Does not own what is said of it (the receipt).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

PAUSE = 0.05
"""Seconds between two looks: one costs as much as a few short tasks."""
PATH = "/proc/self/schedstat"
"""Nanoseconds on a CPU, nanoseconds of waiting for one, and how often it had one."""


def queueing(path: str = PATH, clock: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """A clock: seconds of waiting since now, as of the last look (0 where nobody counts)."""
    first: float | None = None
    due, last = 0.0, 0.0

    def look() -> float:
        nonlocal first, due, last
        now = clock()
        if now >= due:
            due = now + PAUSE
            with contextlib.suppress(OSError, IndexError, ValueError):
                descriptor = os.open(path, os.O_RDONLY)  # half of the work of `open`
                try:
                    waited = int(os.read(descriptor, 256).split()[1]) / 1e9
                finally:
                    os.close(descriptor)
                first = waited if first is None else first
                last = waited - first
        return last

    look()
    return look
