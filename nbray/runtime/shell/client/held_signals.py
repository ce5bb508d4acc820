"""Handlers of signals and the lock of a client: none runs in the main thread while that has it.

Owns what is held back until the lock is given back, and the handler that stands for SIGINT's
while the main thread is in nbray. Does not own the lock (`loop`), nor how other signals' handlers
come here (`nbray/patches/signal_handlers.py`). Rule: a handler may raise, or call nbray, wherever
it runs.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_MAIN = threading.main_thread().ident
_SIGINT = int(signal.SIGINT)
# `signal.signal` itself turns numbers and handlers into enums and back, which costs
# more than all else that a `get` of a ready value does.
_set_handler: Callable[[int, Any], Any] = getattr(signal, "_signal", signal).signal
_get_handler: Callable[[int], Any] = getattr(signal, "_signal", signal).getsignal


class HeldSignals:
    """What a loop holds back. *swap_handler*: SIGINT's own handler is replaced meanwhile."""

    def __init__(self, *, swap_handler: bool) -> None:
        self._swap_handler = swap_handler
        self.critical = False
        """The main thread holds the lock: what a signal asks for waits in `held`."""
        self.held: list[Callable[[], None]] = []
        self._handler = self._on_sigint  # one object, so that it is recognised
        self._previous: Any = None
        self.on_interrupt: Callable[[], None] = _raise_interrupt
        """Called in the main thread for a SIGINT (a worker asks whom it is for)."""

    def postpone(self, run: Callable[[], None]) -> bool:
        """Whether *run* has to wait: then it runs in the main thread when the lock is free."""
        if self.critical and run not in self.held:
            self.held.append(run)
        return self.critical

    def make_up(self) -> None:
        """Run what was held back. Where one raises the others come after the next step."""
        while self.held:
            self.held.pop(0)()

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        if not self.postpone(self._interrupt):
            self._interrupt()

    def forked(self) -> None:
        """In a process forked from this one: SIGINT means what it meant before."""
        if _get_handler(_SIGINT) is self._handler:
            _set_handler(_SIGINT, self._previous or signal.default_int_handler)

    def _interrupt(self) -> None:
        """What SIGINT would have done without us."""
        if callable(self._previous):
            self._previous(signal.SIGINT, None)
        else:
            self.on_interrupt()

    def _guard(self) -> bool:
        """In the main thread: have SIGINT raise only outside critical sections.

        Whether the handler was swapped; if so, `_unguard` must follow.
        """
        if not self._swap_handler or threading.get_ident() != _MAIN:
            return False
        previous = _get_handler(_SIGINT)
        if previous is self._handler or not callable(previous):
            return False  # ours already, ignored, or the system's own
        self._previous = previous
        _set_handler(_SIGINT, self._handler)
        return True

    def _unguard(self) -> None:
        _set_handler(_SIGINT, self._previous)
        self._previous = None


def _raise_interrupt() -> None:
    raise KeyboardInterrupt
