"""What a client looks at after each round of its loop: its node, and its own descriptors.

Owns when something is said of them. Does not own the ends of other processes (`watching`), nor
making room (`sockets`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from nbray.runtime.core.effects import ClientEffect
from nbray.runtime.shell.machine.descriptors import limit
from nbray.runtime.shell.process.channel import exists

PATIENCE = 1.0
"""Seconds after which it is said that this process cannot reach somebody."""
LOOK = 0.5
"""Seconds between two looks whether a process still runs."""


class Beside:
    """A driver's look at the node beside it, which cannot say so when it is killed itself.

    Everything comes by way of it: without it a driver would wait for ever.
    """

    def __init__(self, pid: int, ended: Callable[[str], None]) -> None:
        self._pid = pid
        self._ended = ended
        self._due = 0.0

    def look(self, now: float) -> list[ClientEffect]:
        """After a round of the loop; at most every `LOOK` seconds."""
        if now >= self._due:
            self._due = now + LOOK
            if not exists(self._pid):
                self._due = float("inf")
                self._ended(f"its node on this machine (pid {self._pid}) has died")
        return []


class Shortage:
    """A client that cannot be heard or cannot reach somebody for want of descriptors says so, once
    each time that it lasts.

    Args:
        since: since when it does (0: it does not).
        say: takes the sentence.
    """

    def __init__(self, since: Callable[[], float], say: Callable[[str], object]) -> None:
        self._since = since
        self._say = say
        self._told = 0.0

    def look(self, now: float) -> list[ClientEffect]:
        """After a round of the loop."""
        since = self._since()
        if since and now >= since + PATIENCE and since != self._told:
            self._told = since
            self._say(
                f"this process (pid {os.getpid()}) has no descriptor left for others of the "
                f"cluster: it may have {limit():,} files and connections open at a time "
                "(ulimit -n). What needs one waits until some are closed\n"
            )
        return []
