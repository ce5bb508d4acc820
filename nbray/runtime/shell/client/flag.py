"""What a thread waits for and others set: an event that a signal's handler may set, too.

Owns one flag. `threading.Event` holds a lock of its own while it is set or waited for; a handler
that runs just then in the same thread, and sets it, waits for ever. This is one lock of C's.
"""

from __future__ import annotations

import threading

__all__ = ["Flag"]


class Flag:
    """Not set at first. As `threading.Event`."""

    __slots__ = ("_unset",)

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        """Set it: whoever waits goes on, now and later."""
        try:
            self._unset.release()
        except RuntimeError:  # it is set already
            return

    def clear(self) -> None:
        """Whoever waits from now on waits until it is set again."""
        self._unset.acquire(blocking=False)

    def is_set(self) -> bool:
        """Whether it is set."""
        return not self._unset.locked()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for *timeout* seconds at most: whether it is."""
        if not self._unset.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            return False
        self.set()
        return True
