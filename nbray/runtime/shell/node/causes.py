"""How the ends of a node's children came: what the system and their last words say.

Owns the question whether the system had no memory left. Does not own the sentences
(`process.watching`), nor what follows from an end (the brain's).
"""

from __future__ import annotations

from pathlib import Path

from nbray.ids import HEAD
from nbray.runtime.shell.machine import resources as machine
from nbray.runtime.shell.process.channel import Ended
from nbray.runtime.shell.process.watching import describe_end, last_line, last_words, read


class Causes:
    """Those of one node, whose logs lie in the session's folder *directory*."""

    def __init__(self, directory: str) -> None:
        self._logs = Path(directory) / "logs"
        self._oom_kills = machine.oom_kills()

    def of(self, ended: Ended, node: str, unborn: bool) -> tuple[str, bool]:
        """Why a child of the node called *node* ended; whether for want of memory.

        *unborn*: it is a worker that never came to be, if no signal ended it.
        """
        oom = False
        if ended.signal == 9:
            kills = machine.oom_kills()
            oom, self._oom_kills = kills > self._oom_kills, kills
        if unborn and not ended.signal:
            words = last_line(ended.words)
        else:
            words = last_words(ended.words, ended.signal)
        cause = describe_end(ended, oom, node, machine.memory() if ended.signal else 0, words)
        if ended.client == HEAD:
            words = last_line(read(self._logs / "head.log"))
            cause += f" ({words})" if words else ""
        return cause, oom
