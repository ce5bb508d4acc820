"""Threads belong to the cell of whoever starts them.

Owns the carrying of `nbray.session.cell` and of its run into threads, which begin with
an empty context (Python 3.14 has an option that changes this): without it, work that a
thread of a cell launches would be nobody's, and Stop would not reach it. Does not own
what the cell means. Rule: only threads started on behalf of a cell are touched, never
nbray's own; where `follow` has not been called, nothing is.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbray import session
from nbray.patches import Replaced

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_OWN = "nbray"
"""What the names of nbray's threads begin with."""
_starts = Replaced(threading.Thread, "start")
_submits: Replaced | None = None


def follow(*, pools: bool = False) -> None:
    """Carry the cell into every thread from now on. Idempotent.

    Args:
        pools: into calls of a `ThreadPoolExecutor` too: its threads serve many cells.
    """
    _starts.put(_carrying)
    if pools:
        _follow_pools()


def _follow_pools() -> None:
    from concurrent.futures import ThreadPoolExecutor

    global _submits  # noqa: PLW0603 - made late: its module is imported by few
    if _submits is None:
        _submits = Replaced(ThreadPoolExecutor, "submit")
    _submits.put(_submitting)


def leave() -> None:
    """Threads are as they were before `follow`."""
    _starts.take_back()
    if _submits is not None:
        _submits.take_back()


@functools.wraps(threading.Thread.start)
def _carrying(self: threading.Thread) -> None:
    cell = session.cell.get()
    of = session.carried_run()
    if not _starts.active or not cell or self.name.startswith(_OWN) or self.ident is not None:
        _starts.before(self)
        return
    run = self.run

    def begin() -> None:
        del self.run  # the thread is as it was: no cycle
        session.cell.set(cell)
        session.run.set(of)
        try:
            run()
        except BaseException as error:
            # A thread that Stop has ended needs no traceback.
            if of is None or not of.stopped or type(error) is not type(of.error()):
                raise

    try:
        self.run = begin  # type: ignore[method-assign]
    except AttributeError:  # its class has a property of this name: the cell is not carried
        _starts.before(self)
        return
    try:
        _starts.before(self)
    except BaseException:
        self.__dict__.pop("run", None)
        raise


def _submitting(
    self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Future[Any]:
    assert _submits is not None
    cell = session.cell.get()
    if cell and _submits.active:
        fn = functools.partial(_within, cell, session.carried_run(), fn)
    future: Future[Any] = _submits.before(self, fn, *args, **kwargs)
    return future


def _within(
    cell: str, of: session.Run | None, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    token, before = session.cell.set(cell), session.run.set(of)
    try:
        return fn(*args, **kwargs)
    finally:
        session.run.reset(before)
        session.cell.reset(token)
