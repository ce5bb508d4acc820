"""A terminal of one column of lines: what a program has printed, as one would see it.

Owns the meaning of carriage returns, backspaces and the few escapes by which
progress bars redraw themselves (tqdm, pip, C programs). Does not own colours,
which stay in the text (see `ansi`). Rule: what was printed and not drawn over
is there, in order; a bar that moves is one line, whatever it has printed.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

_TOKENS = re.compile(
    r"\r\n|\n|\r|\x08"
    r"|\x1b\[(?P<args>[0-9;?]*)[ -/]*(?P<final>[@-~])"  # control sequences
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]?"  # titles and the rest
    r"|[^\r\n\x08\x1b]+"
)
_MOVING = re.compile(r"[\r\x08\x1b]")
ROWS = 64
"""Most lines that can still be drawn over."""


class Line(NamedTuple):
    """One line: when it was ended (a number that grows), its text, whether it came on stderr."""

    order: int
    text: str
    error: bool


class _Live:
    """The lines of one stream that are not ended yet, and the cursor."""

    __slots__ = ("bar", "column", "row", "rows")

    def __init__(self) -> None:
        self.bar = False
        """Something was drawn over: it is a bar, and no error though it comes on stderr."""
        self.rows = [""]
        self.row = 0
        self.column = 0


class Screen:
    """What one worker has printed: all is counted, the last *keep* ended lines are kept."""

    def __init__(self, keep: int | None) -> None:
        self.ended = 0
        """Lines that have been ended, those no longer kept included."""
        self._kept: deque[Line] = deque(maxlen=keep)
        self._live = {False: _Live(), True: _Live()}

    @property
    def count(self) -> int:
        """Lines in all."""
        return self.ended + len(self.unended())

    def unended(self) -> list[Line]:
        """The lines that may still change: bars, and what no newline has ended."""
        return [
            Line(-1, row, error and not live.bar)
            for error, live in self._live.items()
            for row in live.rows
            if row.strip()
        ]

    def tail(self, most: int) -> list[Line]:
        """The last *most* lines, ended ones first."""
        live = self.unended()
        kept = max(0, most - len(live))
        return [*list(self._kept)[len(self._kept) - min(kept, len(self._kept)) :], *live[-most:]]

    def feed(self, text: str, error: bool, order: int) -> None:
        """*text* was printed on stderr (*error*) or stdout; *order* is the number of this piece."""
        live = self._live[error]
        if not _MOVING.search(text) and live.row == len(live.rows) - 1:
            self._plain(live, text, error, order)
            return
        for token in _TOKENS.finditer(text):
            piece = token[0]
            if piece in {"\n", "\r\n"}:
                self._newline(live, error, order)
            elif piece == "\r":
                live.column = 0
                live.bar = True
            elif piece == "\x08":
                live.column = max(0, live.column - 1)
            elif token["final"] is not None:
                self._control(live, token["args"], token["final"], piece)
            elif not piece.startswith("\x1b"):
                self._write(live, piece)

    def _plain(self, live: _Live, text: str, error: bool, order: int) -> None:
        """The common case: nothing moves the cursor but newlines."""
        first, *rest = text.split("\n")
        self._write(live, first)
        if rest:
            self._newline(live, error, order)
            last = rest.pop()
            self.ended += len(rest)
            most = self._kept.maxlen
            rest = rest if most is None else rest[-most:]
            self._kept.extend([Line(order, line, error) for line in rest])
            self._write(live, last)

    @staticmethod
    def _write(live: _Live, text: str) -> None:
        row = live.rows[live.row]
        column = live.column
        if column >= len(row):
            row = row.ljust(column) + text
        elif "\x1b" in row:
            row = row[:column] + text  # colours have no width: the rest is drawn anew
        else:
            row = row[:column] + text + row[column + len(text) :]
        live.rows[live.row] = row
        live.column = column + len(text)

    def _newline(self, live: _Live, error: bool, order: int) -> None:
        live.column = 0
        if live.row < len(live.rows) - 1:
            live.row += 1
            return
        error = error and not live.bar
        rows = [row.rstrip() for row in live.rows] if live.bar else live.rows
        self._kept.extend([Line(order, row, error) for row in rows])
        self.ended += len(live.rows)
        live.rows, live.row, live.bar = [""], 0, False

    def _control(self, live: _Live, args: str, final: str, piece: str) -> None:
        number = int(args) if args.isdigit() else 1
        if final == "m":
            self._write(live, piece)
        elif final == "A":
            for _ in range(min(number, ROWS)):
                self._up(live)
        elif final == "B":
            live.row = min(live.row + number, len(live.rows) - 1)
        elif final == "K":
            row = live.rows[live.row]
            live.rows[live.row] = "" if args in {"1", "2"} else row[: live.column]
        elif final == "C":
            live.column += min(number, 1000)
        elif final == "D":
            live.column = max(0, live.column - number)
        elif final == "G":
            live.column = max(0, number - 1)

    def _up(self, live: _Live) -> None:
        """The cursor goes up; into a line that seemed to be ended, if need be."""
        if live.row:
            live.row -= 1
        elif self._kept and len(live.rows) < ROWS:
            live.rows.insert(0, self._kept.pop().text)
            self.ended -= 1
