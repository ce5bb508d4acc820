"""What tasks print: caught in the worker, sent to the driver of their job.

Owns the replacement of `sys.stdout` and `sys.stderr` in workers and the
gathering of text. Does not own where it is shown. Rule: text carries the cell
and task that printed it, keeps its order within a worker, and leaves before
the answer of the task that printed it; nothing is dropped.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TextIO, cast

from nbray.runtime.core.effects import Effect, Send
from nbray.wire.messages import Printed

MOST_TEXT = 256 * 1024
"""Characters in one message."""


class Origin(NamedTuple):
    """Who prints: the job's driver, the cell, the task's name."""

    job: int
    cell: str
    task: str


class Output:
    """The printed text of one worker, not yet sent."""

    def __init__(self, me: int, origin: Callable[[], Origin | None]) -> None:
        self.me = me
        self._origin = origin
        self._pid = os.getpid()
        self._pieces: deque[tuple[Origin, str, str]] = deque()

    def stream(self, name: str, fallback: TextIO) -> TextIO:
        """A file object for `sys.stdout` or `sys.stderr`; *fallback* gets what no task printed."""
        return cast("TextIO", _Stream(self, name, fallback))

    def add(self, name: str, text: str) -> bool:
        """Note text of the running task; False if none runs."""
        origin = self._origin()
        if origin is None:
            return False
        self._pieces.append((origin, name, text))
        return True

    def pending(self) -> bool:
        """Whether there is text to send."""
        return bool(self._pieces)

    def take(self, now: float = 0.0) -> list[Effect]:
        """Everything printed so far, as messages; adjacent pieces are joined."""
        effects: list[Effect] = []
        pieces = self._pieces
        texts: list[str] = []
        last: tuple[Origin, str] | None = None
        size = 0
        for _ in range(len(pieces)):
            try:
                origin, name, text = pieces.popleft()
            except IndexError:  # another thread has taken them meanwhile
                break
            if (origin, name) != last or size > MOST_TEXT:
                if last is not None:
                    effects.append(self._message(last, texts))
                last, texts, size = (origin, name), [], 0
            texts.append(text)
            size += len(text)
        if last is not None:
            effects.append(self._message(last, texts))
        return effects

    def _message(self, key: tuple[Origin, str], texts: list[str]) -> Effect:
        origin, name = key
        text = "".join(texts)
        return Send(
            origin.job, Printed(self.me, origin.cell, self._pid, origin.task, name, text)
        )


class _Stream(io.TextIOBase):
    """Writes go to the running task's output."""

    def __init__(self, output: Output, name: str, fallback: TextIO) -> None:
        super().__init__()
        self._output = output
        self._name = name
        self._fallback = fallback

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def name(self) -> str:
        return f"<{self._name}>"

    def fileno(self) -> int:
        return self._fallback.fileno()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text and not self._output.add(self._name, text):
            self._fallback.write(text)
        return len(text)

    def flush(self) -> None:
        self._fallback.flush()
