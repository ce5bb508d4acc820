"""Threads belong to the cell of whoever starts them.

Owns the carrying of `nbray.session.cell` and of its run into threads, which begin with
an empty context (Python 3.14 has an option that changes this): without it, work that a
thread of a cell launches would be nobody's, and Stop would not reach it. Does not own
what the cell means. Rule: only threads started on behalf of a cell are touched, never
nbray's own; where `follow` has not been called, nothing is.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbray import session

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_OWN = "nbray"
"""What the names of nbray's threads begin with."""
_start = threading.Thread.start
_submit: Callable[..., Future[Any]] | None = None


def follow(*, pools: bool = False) -> None:
    """Carry the cell into every thread from now on. Idempotent.

    Args:
        pools: into calls of a `ThreadPoolExecutor` too: its threads serve many cells.
    """
    threading.Thread.start = _carrying  # type: ignore[method-assign]
    if pools:
        _follow_pools()


def _follow_pools() -> None:
    from concurrent.futures import ThreadPoolExecutor

    global _submit  # noqa: PLW0603 - the plain method, to be put back
    if _submit is None:
        _submit = ThreadPoolExecutor.submit
        ThreadPoolExecutor.submit = _submitting  # type: ignore[assignment, method-assign]


def leave() -> None:
    """Threads are as they were before `follow`."""
    global _submit  # noqa: PLW0603 - see `follow`
    threading.Thread.start = _start  # type: ignore[method-assign]
    if _submit is not None:
        sys.modules["concurrent.futures"].ThreadPoolExecutor.submit = _submit
        _submit = None


@functools.wraps(_start)
def _carrying(self: threading.Thread) -> None:
    cell = session.cell.get()
    of = session.carried_run()
    if not cell or self.name.startswith(_OWN) or self.ident is not None:
        _start(self)
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
        _start(self)
        return
    try:
        _start(self)
    except BaseException:
        self.__dict__.pop("run", None)
        raise


def _submitting(
    self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Future[Any]:
    assert _submit is not None
    cell = session.cell.get()
    if cell:
        fn = functools.partial(_within, cell, session.carried_run(), fn)
    return _submit(self, fn, *args, **kwargs)


def _within(
    cell: str, of: session.Run | None, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    token, before = session.cell.set(cell), session.run.set(of)
    try:
        return fn(*args, **kwargs)
    finally:
        session.run.reset(before)
        session.cell.reset(token)
