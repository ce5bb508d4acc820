"""`LongWait`: many short waits as one, so that bars appear for a loop that takes long.

Owns nothing but that. Does not own who shows bars (the session's watcher), nor the waiting.
"""

from __future__ import annotations

from typing import Self

from nbray import session


class LongWait:
    """Entered for each of the waits; from the first to `close` they are one.

    Who goes on in another notebook's cell begins another.
    """

    def __init__(self) -> None:
        self._wait: session.Waiting | None = None
        self._cell = ""

    def __enter__(self) -> Self:
        cell = session.cell.get()
        if self._wait is not None and cell == self._cell:
            self._wait.resume()
            return self
        self.close()
        watcher = session.watcher()
        if watcher is not None:
            self._cell, self._wait = cell, watcher()
            self._wait.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._wait is not None:
            self._wait.pause()

    def close(self) -> None:
        """The last of them is over."""
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.__exit__(None, None, None)

    def __del__(self) -> None:
        self.close()
