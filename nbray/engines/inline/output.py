"""What tasks print under the inline engine: lines, to the sink, with their cell.

Owns the replacement of `sys.stdout` and `sys.stderr` while tasks run. Rule: only
text that a task prints is taken; other threads' text passes through.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from nbray.events import Output

Sink = Callable[[Output], None]


class _Printing:
    """One running task's unfinished lines."""

    def __init__(self, sink: Sink, cell: str, node_name: str, task: str) -> None:
        self._sink = sink
        self._about = (cell, 1, node_name, os.getpid(), task)
        self._rest = {"stdout": "", "stderr": ""}

    def write(self, stream: str, text: str) -> None:
        """Hand on what ends in a newline, keep the rest."""
        whole, newline, rest = (self._rest[stream] + text).rpartition("\n")
        self._rest[stream] = rest
        if newline:
            self._sink(Output(*self._about, stream, whole + newline))

    def close(self) -> None:
        """Hand on everything."""
        for stream, rest in self._rest.items():
            if rest:
                self._sink(Output(*self._about, stream, rest))


_printing: ContextVar[_Printing | None] = ContextVar("nbray_inline_printing", default=None)


class _Stream(io.TextIOBase):
    """Stands in for a standard stream while a task runs."""

    def __init__(self, name: str, outer: Any) -> None:
        self._name = name
        self._outer = outer

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        current = _printing.get()
        if current is None:
            self._outer.write(text)
        else:
            token = _printing.set(None)  # what the sink prints is no task's text
            try:
                current.write(self._name, text)
            finally:
                _printing.reset(token)
        return len(text)

    def flush(self) -> None:
        self._outer.flush()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._outer, "encoding", "utf-8")


class Outputs:
    """Where tasks' text goes (no sink: wherever this process prints)."""

    def __init__(self, node_name: str) -> None:
        self.sink: Sink | None = None
        self._node_name = node_name
        self._lock = threading.Lock()
        self._depth = 0
        self._outer: tuple[Any, Any] = (None, None)

    @contextlib.contextmanager
    def of(self, cell: str, task: str) -> Iterator[None]:
        """Take what the calling context prints until the end of the block."""
        if self.sink is None:
            yield
            return
        printing = _Printing(self.sink, cell, self._node_name, task)
        token = _printing.set(printing)
        self._enter()
        try:
            yield
        finally:
            self._leave()
            _printing.reset(token)
            printing.close()

    def _enter(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._outer = (sys.stdout, sys.stderr)
                sys.stdout = _Stream("stdout", sys.stdout)
                sys.stderr = _Stream("stderr", sys.stderr)

    def _leave(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                sys.stdout, sys.stderr = self._outer
                self._outer = (None, None)
