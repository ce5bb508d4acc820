"""How the ends of a node's children came: what the system and their last words say.

Owns the question whether the system had no memory left. Does not own the sentences
(`process.watching`), nor what follows from an end (the brain's).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nbray.ids import HEAD
from nbray.runtime.shell.machine import resources as machine
from nbray.runtime.shell.process.channel import Ended
from nbray.runtime.shell.process.watching import describe_end, last_line, last_words, read

FRESH = 5.0
"""Seconds after which a kill by the kernel is taken for that of somebody else's process."""


class OomKills:
    """Which of our processes the kernel has ended: it counts, and does not say whom.

    Several may go at once (a small one first, then the one that has the memory), before the first
    end is heard of. So each that is counted stands for one end by SIGKILL.

    Args:
        counted: how many it has ended so far.
        clock: seconds.
    """

    def __init__(
        self, counted: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counted, self._clock = counted, clock
        self._seen = counted()
        self._open: list[float] = []
        """When each was counted whose process has not been heard of."""

    def was_one(self, ours: bool) -> bool:
        """Whether a process that SIGKILL ended was ended so; *ours*: nbray ended it itself."""
        now, count = self._clock(), self._counted()
        fresh, self._seen = count - self._seen, count
        self._open = [at for at in self._open if now - at < FRESH] + [now] * max(0, fresh)
        if ours or not self._open:
            return False
        self._open.pop(0)
        return True


class Causes:
    """Those of one node, whose logs lie in the session's folder *directory*."""

    def __init__(self, directory: str) -> None:
        self._logs = Path(directory) / "logs"
        self._oom_kills = OomKills(machine.oom_kills)

    def of(self, ended: Ended, node: str, unborn: bool, ours: bool = False) -> tuple[str, bool]:
        """Why a child of the node called *node* ended; whether for want of memory.

        *unborn*: it is a worker that never came to be, if no signal ended it. *ours*: the node had
        it ended.
        """
        oom = ended.signal == 9 and self._oom_kills.was_one(ours)
        if unborn and not ended.signal:
            words = last_line(ended.words)
        else:
            words = last_words(ended.words, ended.signal)
        cause = describe_end(ended, oom, node, machine.memory() if ended.signal else 0, words)
        if ended.client == HEAD:
            words = last_line(read(self._logs / "head.log"))
            cause += f" ({words})" if words else ""
        return cause, oom
