"""The one mutable slot: the engine in use, and the cell that is running.

Everything else is reached from here. `cell` is a context variable, so it
follows threads started with a copied context and async code.

`waiting` is how screens hear of blocking calls: `api.get` and `api.wait` run
inside `with waiting():`. Entering and leaving must cost next to nothing (two
microseconds), because every call pays; whoever fills the slot looks from a
thread of its own at how long the waiting has lasted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING

from nbray.exceptions import RaySystemError

if TYPE_CHECKING:
    from nbray.engine import Engine

cell: ContextVar[str] = ContextVar("nbray_cell", default="")
"""Identity of the notebook cell on whose behalf code runs ('' outside notebooks)."""

waiting: Callable[[], AbstractContextManager[None]] = nullcontext
"""Entered around every blocking call; `nbray.jupyter.progress.install` replaces it."""

_lock = threading.RLock()
_engine: Engine | None = None


def current() -> Engine | None:
    """The engine in use, or None before `init` and after `shutdown`."""
    return _engine


def require() -> Engine:
    """The engine in use; starts a local one if there is none, as Ray does.

    Raises:
        RaySystemError: the engine belongs to the process this one was forked from.
    """
    engine = _engine
    if engine is None:
        from nbray.api import init

        init()
        engine = _engine
        if engine is None:
            raise RaySystemError("nbray is not running: call nbray.init() first")
    return engine


def install(engine: Engine | None) -> None:
    """Make *engine* the one in use (None: none is)."""
    global _engine  # noqa: PLW0603 - the one mutable slot of the design
    with _lock:
        _engine = engine
