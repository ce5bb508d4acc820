"""Text under a cell as plain lines, where nothing can be drawn over.

Owns the gathering: many small pieces in a short time become few messages, for servers
drop what is too many. Does not own to whom they go. Rule: pieces wait only while
somebody is sure to flush them (`hold`), and never longer than the router's next tick.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.05
"""Seconds between messages while pieces come fast."""


class Lines:
    """What waits to be sent. Not thread-safe: its router has a lock.

    Attributes:
        text: the pieces; one list for ever, so that others can look whether it is empty.
    """

    def __init__(
        self, send: Callable[[str, str, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.text: list[str] = []
        self._send = send
        self._clock = clock
        self._where = ("", "")
        self._sent = 0.0

    def add(self, cell: str, stream: str, text: str, hold: bool) -> None:
        """Send *text*; with *hold* perhaps a little later."""
        if self._where != (cell, stream):
            self.flush()
            self._where = cell, stream
        self.text.append(text)
        if not hold or self._clock() - self._sent >= PAUSE:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self.text:
            text = "".join(self.text)
            self.text.clear()
            self._sent = self._clock()
            cell, stream = self._where
            self._send(cell, text, stream)
