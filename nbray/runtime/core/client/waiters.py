"""Who waits for objects to be ready: a `get`, a `wait`, a future.

Owns what each is told and when it is done (see `objects.Waiter`). Does not own the threads that
wait (the shell's). Rule: a waiter is told of an entry once.
"""

from __future__ import annotations

from collections.abc import Callable

from nbray.runtime.core.client.objects.objects import FAILED, Entry


class Group:
    """A `get` or `wait`: done when enough of its entries are ready (see `objects.Waiter`)."""

    __slots__ = ("done", "missing", "wake")

    def __init__(self, missing: int, wake: Callable[[], None] | None = None) -> None:
        self.missing = missing
        self.wake = wake
        self.done = missing <= 0
        """Whether whoever waits may go on."""

    def settle(self, entry: Entry) -> None:
        """One more is ready."""
        self.missing -= 1
        if self.missing == 0:
            self.done = True
            if self.wake is not None:
                self.wake()


class Gathering(Group):
    """A `get`: done when all its entries are ready, or one of them has failed."""

    __slots__ = ("failed", "failures")

    def __init__(self, missing: int, wake: Callable[[], None]) -> None:
        super().__init__(missing, wake)
        self.failed: Entry | None = None
        """The first that failed while it waited."""
        self.failures = 0

    def settle(self, entry: Entry) -> None:
        """One more is ready."""
        self.missing -= 1
        if entry.state == FAILED:
            self.failures += 1
            self.failed = self.failed or entry
        elif self.missing:
            return
        self.done = True
        if self.wake is not None:
            self.wake()


class Future:
    """Calls *done* when its entry is ready (see `objects.Waiter`)."""

    __slots__ = ("_done",)

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done

    def settle(self, entry: object) -> None:
        """The entry is ready."""
        self._done()
