"""marimo's interrupt: what a notebook has asked for ends on every node when its cell is stopped.

Owns who hears of the interrupt there. Does not own how work is cancelled (`stop`). marimo
tells nobody which cell runs, and its cells are often split between launching and waiting, so
the interrupt ends all unfinished work of the notebook; named jobs have keepers, and go on.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from nbray.exceptions import RayError
from nbray.jupyter.cells.stop import stop
from nbray.jupyter.notebook import Notebook, current

CELL = "__marimo__cell_"
"""Begins the name of a cell's file."""
NOBODYS = ""
"""What this process launches is the work of this cell: there is no other."""


class Interrupts:
    """Stands before marimo's handler of SIGINT, and changes nothing of what that does."""

    def __init__(self, stop_cell: Callable[[str], int] = stop) -> None:
        self._stop = stop_cell
        self._previous: Callable[[int, FrameType | None], Any] | None = None
        self._handler = self._on_sigint  # one object, so that it is recognised

    def hear(self) -> bool:
        """Hear of interrupts from now on; False where none come (a thread, a served page)."""
        if threading.current_thread() is not threading.main_thread():
            return False
        previous = signal.getsignal(signal.SIGINT)
        if previous is not self._handler:
            if not callable(previous):
                return False
            self._previous = previous
            signal.signal(signal.SIGINT, self._handler)
        return True

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        # As in `stop`: between any two steps, so that all that takes a lock is another thread's.
        if _in_cell(frame or sys._getframe()):
            try:
                _thread.start_new_thread(self._ask, ())
            except RuntimeError:
                pass  # no more threads: the wait ends, and nothing else
        if self._previous is not None:
            self._previous(number, frame)

    def _ask(self) -> None:
        try:
            self._stop(NOBODYS)
        except RayError:
            pass  # the cluster ends at this moment


def _in_cell(frame: FrameType | None) -> bool:
    while frame is not None:
        if CELL in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _interrupts(_notebook: Notebook) -> Interrupts:
    return Interrupts()


def install() -> bool:
    """Have marimo's interrupt end this notebook's work. Idempotent."""
    return current().part(_interrupts).hear()
