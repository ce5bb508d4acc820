"""Looking for a quick answer for a moment, before a thread sleeps.

Owns when that is worth it, and for how long. Does not own who waits, nor for what (`loop`). Rule:
in vain it costs others their processor, so it rests for longer each time.
"""

from __future__ import annotations

import os
import select
import time

SPIN = 0.0002
"""Seconds that a quick answer is looked for before the thread sleeps. Waking a sleeping thread
costs both sides more than the whole of a short call; see `Loop.lone` for when it is done."""
MOST_RESTS = 255


class QuickLook:
    """Of one client, at what *poll* polls."""

    __slots__ = ("_poll", "_vain", "hopes", "possible", "rests")

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll.poll
        self.possible = _processors() > 1
        self.hopes = False
        """The last wait was shorter than `SPIN`: the next one may be, too."""
        self.rests = self._vain = 0
        """Waits in which it is not tried, and how many those are after the next failure."""

    def worth_it(self, now: float, deadline: float | None) -> bool:
        """Whether the answer may be so near that this thread should not sleep."""
        if not self.hopes or (deadline is not None and deadline <= now + SPIN):
            return False
        if self.rests:
            self.rests -= 1
            return False
        return True

    def look(self, now: float) -> list[tuple[int, int]]:
        """Look for news without sleeping, for at most `SPIN`.

        In vain it costs others their processor, so it is tried again only after a
        number of waits that doubles each time.
        """
        poll, until = self._poll, now + SPIN
        while True:
            fired = poll(0)
            if fired:
                self._vain = 0
                return fired
            if time.monotonic() >= until:
                self._vain = min(2 * self._vain + 1, MOST_RESTS)
                self.rests = self._vain
                return []


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
