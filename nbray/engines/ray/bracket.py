"""What stands around user code in a worker of Ray's: whose work it is, and what is told of it.

Owns the context in which a call runs. Does not own how the call is run (`worker`, `resident`). What
belongs to cells (output, starts and ends) hooks in here: `around` is called for each call.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from nbray import session
from nbray.engines.ray import travelling
from nbray.engines.ray.heads import Head

running: ContextVar[Head | None] = ContextVar("nbray_ray_running", default=None)
"""The call that the calling context runs; None in a driver, and in Ray's own code."""

HOST = socket.gethostname()
spoiled: set[int] = set()
"""Calls that yield, by number, whose last value stands for their error."""
around: list[Callable[[Head], contextlib.AbstractContextManager[object]]] = []
"""What each call runs in, the first outermost."""
yielding: list[Callable[[Head], None]] = []
"""What hears of each value that a call yields."""


@contextlib.contextmanager
def bracket(head: Head) -> Iterator[None]:
    """Makes the calling context that of the call *head*, whose process this is."""
    if session.current() is None:
        session.require()  # in a worker of Ray's that is the engine of its cluster
    travelling.here().use(head.modules)
    token, cell = running.set(head), session.cell.set(head.cell)
    try:
        if not around:
            yield
            return
        with contextlib.ExitStack() as stack:
            for one in around:
                stack.enter_context(one(head))
            yield
    finally:
        session.cell.reset(cell)
        running.reset(token)


def gave(head: Head) -> None:
    """The call *head* has yielded a value."""
    for one in yielding:
        one(head)


def where() -> tuple[str, int]:
    """(the machine, the process) that errors name."""
    return HOST, os.getpid()
