"""A handler of a signal runs between nbray's steps, never within one.

Owns what stands in for `signal.signal` and `signal.getsignal`. A handler runs in the main thread
between any two instructions: one that raises (a time limit by `signal.alarm`, `sys.exit` on
SIGTERM) would leave a step half done, one that calls nbray would wait for the lock that its own
thread holds. Does not own when a step is under way: it is told that. Rules: whoever asks for a
handler gets the one that he has set; SIGINT is left alone, for the client treats it by itself.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from nbray.patches import Replaced

_sets = Replaced(signal, "signal")
_gets = Replaced(signal, "getsignal")
_postpones: list[Callable[[Callable[[], None]], bool]] = []
"""At most one: whether what it is given has to wait; then it runs it later."""


class _Held:
    """Calls *handler*, now or after the step that is under way."""

    __slots__ = ("handler",)

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for postpone in _postpones:
            if postpone(functools.partial(self.handler, number, frame)):
                return
        self.handler(number, frame)


def hold(postpone: Callable[[Callable[[], None]], bool]) -> None:
    """Have handlers, those that are set already among them, ask *postpone* before they run."""
    _postpones[:] = [postpone]
    _sets.put(_setting)
    _gets.put(_getting)
    _set_again()


def no_longer() -> None:
    """Handlers run whenever they come, as before `hold`."""
    _postpones.clear()
    _sets.active = False
    _set_again()
    _sets.take_back()
    _gets.take_back()


def _set_again() -> None:
    """Set each handler that there is as it is to be set now."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set any
    for number in signal.valid_signals():
        handler = _getting(number)
        if _is_to_be_held(number, handler):
            _setting(number, handler)


def _is_to_be_held(number: int, handler: Any) -> bool:
    return callable(handler) and number != signal.SIGINT


def _bare(handler: Any) -> Any:
    return handler.handler if isinstance(handler, _Held) else handler


@functools.wraps(signal.signal)
def _setting(signalnum: Any, handler: Any) -> Any:
    if _sets.active and _is_to_be_held(signalnum, handler):
        handler = _Held(handler)
    return _bare(_sets.before(signalnum, handler))


@functools.wraps(signal.getsignal)
def _getting(signalnum: Any) -> Any:
    return _bare(_gets.before(signalnum))
