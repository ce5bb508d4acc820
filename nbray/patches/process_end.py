"""What a process does before its own code ends it at once, by `os._exit` or a signal to itself.

Owns the step before `os._exit`, and before `os.kill` of the own process. Does not own what is
done. Rules: a step that fails hinders nobody, one that is under way is not begun again, and a
forked process has none.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from nbray.patches import Replaced

_exit = Replaced(os, "_exit")
_kill = Replaced(os, "kill")
_step: list[tuple[int, Callable[[], None]]] = []
"""(process, what it does), at most one."""


def first(step: Callable[[], None]) -> None:
    """Have this process do *step* before it ends itself."""
    _step[:] = [(os.getpid(), step)]
    _exit.put(_exiting)
    _kill.put(_killing)


def no_longer() -> None:
    """As it was before `first`."""
    _step.clear()
    _exit.take_back()
    _kill.take_back()


def _take() -> None:
    while _step:
        process, step = _step.pop()
        if process == os.getpid():
            with contextlib.suppress(Exception):  # it ends whatever becomes of the step
                step()


def _exiting(status: int) -> None:
    _take()
    _exit.before(status)


def _killing(pid: int, number: int, /) -> None:
    before = list(_step)
    if pid == os.getpid() and number in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT):
        _take()
    _kill.before(pid, number)
    _step[:] = before  # it lives on: it has a handler for that
