"""Bars in a terminal: lines on stderr that are drawn over.

Owns the cursor between the first bar and the last. Does not own what the bars
say. Rule: after `end` or `erase` the cursor stands at the start of a line, and
nothing of an unfinished bar is left on the screen.
"""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from nbray.events import CellView, Display, Output
from nbray.view import progress_text

_UP = "\x1b[{}F"
_CLEAR_BELOW = "\x1b[J"


def attributed(output: Output | Display) -> str:
    """What a task printed, each line after its origin, as engines print it by themselves."""
    if isinstance(output, Display):
        text = f"{output.data.get('text/plain', '')}\n"
    else:
        text = output.text
    lines = text.splitlines(keepends=True)
    prefix = f"({output.task} pid={output.pid}) "
    return "".join(prefix + line if line.strip() else line for line in lines)


class TerminalBars:
    """Bars on *stream* (stderr), drawn over in place."""

    eager = True
    """What the program prints next must not meet a bar: end with the wait."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._lines = 0
        self._last = ""

    def draw(self, view: CellView, now: float, rate: float) -> None:
        """Draw the bars over the last ones."""
        size = shutil.get_terminal_size()
        text = progress_text(
            view, now, rate, width=size.columns - 1, height=max(2, min(12, size.lines - 4))
        )
        if text != self._last:
            self._write(text)

    def keep(self, view: CellView, now: float, rate: float) -> None:
        """A terminal keeps nothing of unfinished work."""
        self.erase()

    def end(self, view: CellView, now: float, rate: float) -> None:
        """Draw the final bars and leave them there."""
        if not view.submitted:  # it waited for nobody's work, only for something to arrive
            self.erase()
            return
        self.draw(view, now, rate)
        self._lines, self._last = 0, ""

    def erase(self) -> None:
        """Take the bars away."""
        if self._lines:
            self._write("")

    def _write(self, text: str) -> None:
        back = _UP.format(self._lines) + _CLEAR_BELOW if self._lines else ""
        self._stream.write(back + (text + "\n" if text else ""))
        self._stream.flush()
        self._lines, self._last = len(text.splitlines()), text
