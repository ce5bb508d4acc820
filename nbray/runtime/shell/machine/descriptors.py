"""How many descriptors this process may have, and how many are left.

Owns raising the soft limit to the hard one, counting, and the reserve that is never given to
anybody: with it the process can always read a file, answer, and end in order. Does not own who
is served (the node's brain asks before it takes somebody on). Rule: what is refused here is said
to whoever wanted it, with the limit's name, for only he can raise it.
"""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Callable

from nbray.config import DESCRIPTORS, OWN_DESCRIPTORS, RESERVED_DESCRIPTORS, RESERVED_SHARE

SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What calls say that would make a descriptor, when there is none left (or no memory for it)."""
REFUSED: tuple[type[Exception], ...] = (OSError, ImportError)
"""What is raised where the system refuses something: loading a module takes a descriptor, too."""
AGAIN = 0.05
"""Seconds after which what failed for want of a descriptor is tried again."""
_FRESH = 0.02
"""Seconds for which a count is good: counting costs as much as a message."""
_LISTINGS = ("/proc/self/fd", "/dev/fd")


def widened() -> int:
    """What `widen` would make of the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    return limit() if soft == resource.RLIM_INFINITY else max(soft, wanted)


def widen() -> int:
    """Raise the soft limit to the hard one (at most to `DESCRIPTORS`); what it is then.

    More would slow down programs that close every number they may have.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = widened()
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limit()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS takes no more than it has in all
        return limit()
    return wanted


def limit() -> int:
    """The most descriptors this process may have now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, 1 << 30)


def used() -> int:
    """How many descriptors this process has."""
    for folder in _LISTINGS:
        try:
            return len(os.listdir(folder)) - 1  # the listing's own
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in SCARCE:
                return limit()  # not even one for the listing
            continue
    return 0


class Reserve:
    """Descriptors held back by a process for itself: whatever its user's code uses up, or others
    who connect, it can still be heard and answer."""

    def __init__(self, count: int = OWN_DESCRIPTORS) -> None:
        self._most = count
        self._held: list[int] = []
        self.refill()

    def __len__(self) -> int:
        return len(self._held)

    def spend(self) -> bool:
        """Let one go for what could not be opened; False if there is none.

        A limit that the user's code has lowered since (`widen` raised it) is raised again first:
        below what is open already, giving back helps nobody.
        """
        before = limit()
        if widen() > before:
            return True
        if not self._held:
            return False
        os.close(self._held.pop())
        return True

    def refill(self) -> bool:
        """Take back what was spent; whether all of it could be had."""
        try:
            while len(self._held) < self._most:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Hold nothing any more."""
        while self._held:
            os.close(self._held.pop())


class Room:
    """What one process has left for others.

    Args:
        count, most: how many descriptors there are, and may be.
        clock: seconds.
    """

    def __init__(
        self,
        count: Callable[[], int] = used,
        most: Callable[[], int] = limit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._most = most
        self._clock = clock
        self._left = 0
        self._until = float("-inf")

    def left(self) -> int:
        """Descriptors that may still be given to somebody, the reserve not counted."""
        now = self._clock()
        if now >= self._until:
            most = self._most()
            reserve = max(RESERVED_DESCRIPTORS, int(most * RESERVED_SHARE))
            self._left = most - reserve - self._count()
            self._until = now + _FRESH
        return self._left

    def take(self, count: int) -> bool:
        """Promise *count* of them to somebody who will use them at once; whether they are there."""
        if self.left() < count:
            return False
        self._left -= count
        return True

    def told(self) -> str:
        """What is lacking and what to do, for whoever is not served."""
        return (
            f"it may have {self._most():,} files and connections open at a time (ulimit -n), and "
            "all of them are in use: start the cluster with a higher limit, or end what is not "
            "needed"
        )
