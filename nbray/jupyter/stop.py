"""The Stop button: an interrupted cell's work ends on every node.

Owns the two steps, first asking and half a second later forcing. Does not own how
work is cancelled (the engine) nor which cell runs (`cells`). Rule: only the
interrupted cell's own work is touched; other cells' background work goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from nbray import session
from nbray.engine import Engine
from nbray.exceptions import RayError

GRACE = 0.5
"""Seconds between asking tasks to end and ending their workers: all is over within a second."""


def stop(cell: str, grace: float = GRACE) -> int:
    """Cancel all unfinished work of *cell*; how many tasks that were.

    What has not ended *grace* seconds later is ended by force, in the background.
    """
    engine = session.current()
    if engine is None:
        return 0
    count = engine.cancel_cell(cell, force=False)
    if count:
        timer = threading.Timer(grace, _force, (engine, cell))
        timer.daemon = True
        timer.start()
    return count


def _force(engine: Engine, cell: str) -> None:
    if session.current() is not engine:
        return
    try:
        engine.cancel_cell(cell, force=True)
    except RayError:
        pass  # the cluster is being stopped, and its work with it


class InterruptHook:
    """IPython's hooks that call `stop` after an interrupted cell."""

    def __init__(self, stop_cell: Callable[[str], int] = stop) -> None:
        self._stop = stop_cell
        self._running: list[str] = []

    def before(self, _info: object = None) -> None:
        """`pre_run_cell`; runs after `cells` has named the cell."""
        self._running.append(session.cell.get())

    def after(self, result: Any = None) -> None:
        """`post_run_cell`; IPython calls it for empty cells as well, without `before`."""
        cell = self._running.pop() if self._running else ""
        interrupted = isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt)
        if interrupted and cell:
            self._stop(cell)
