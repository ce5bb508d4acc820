"""The last lines that tasks have printed: when, by whom.

Owns their order, which are left out, and that a bar which was drawn a hundred
times over is one line. Does not own how they look nor where they stand
(`sections`, `panel_details`). Pure.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from nbray.details import Details, TextRecord
from nbray.view import ansi
from nbray.view.names import Names, cell_key, worker
from nbray.view.screen import Screen

TailLine = tuple[str, str, bool]
"""(when and by whom it was printed, as wide as the others'; the line; whether to stderr)."""
WIDEST = 48
"""Characters up to which the first columns are made alike."""
_SPARE = 64
"""Pieces looked at beyond those that seem enough: a line ends in another than it begins."""


def tail(
    details: Details, names: Names, limit: int, cell: str = "", words: Sequence[str] = ()
) -> tuple[list[TailLine], bool]:
    """The last *limit* lines, oldest first, and whether there are more.

    Of *cell* alone (see `names.cell_key`), and only those that hold all *words*.
    A line stands where its first piece came, as a terminal would end up showing it.
    """
    pieces, cut = _last(details.texts, cell, 0 if words else limit)
    screens: dict[tuple[int, int, int, str, str], Screen] = {}
    for order, piece in enumerate(pieces):
        key = (piece.node, piece.pid, piece.job, piece.cell, piece.task)
        screen = screens.get(key)
        if screen is None:
            screen = screens[key] = Screen(keep=limit if not words else None)
        screen.feed(piece.text, piece.stream == "stderr", order)
    found: list[tuple[int, str, str, bool]] = []
    for (node, pid, _, _, task), screen in screens.items():
        who = f"{worker(names.node(node), pid)} · {task}"
        for line in screen.tail(screen.count):
            text = ansi.stripped(line.text)
            if not words or all(word in f"{who} {text}".lower() for word in words):
                # What no newline has ended is the newest.
                order = line.order if line.order >= 0 else len(pieces)
                found.append((order, who, text, line.error))
    found.sort(key=lambda one: one[0])
    shown = found[-limit:] if limit else []
    clock = _Clock(details)
    sides = [
        f"{clock.said(pieces[order].at) if order < len(pieces) else clock.now}{who}"
        for order, who, _, _ in shown
    ]
    wide = min(WIDEST, max(map(len, sides), default=0))
    lines = [
        (side.ljust(wide), text, error)
        for side, (_, _, text, error) in zip(sides, shown, strict=True)
    ]
    count = len(found) if words else sum(one.count for one in screens.values())
    return lines, cut or count > limit


def _last(texts: Sequence[TextRecord], cell: str, lines: int) -> tuple[list[TextRecord], bool]:
    """The last pieces of *cell* that have *lines* newlines (0: all); whether some were left out."""
    wanted: list[TextRecord] = []
    newlines, spare = 0, _SPARE
    ordered = sorted(texts, key=lambda one: one.at)  # several drivers' came as they were asked
    for piece in reversed(ordered):
        if cell and cell_key(piece.job, piece.cell) != cell:
            continue
        if lines and newlines > lines:
            spare -= 1
            if spare < 0:
                return wanted[::-1], True
        wanted.append(piece)
        newlines += piece.text.count("\n")
    return wanted[::-1], False


class _Clock:
    """The time of day of what was printed; nothing where it is not known."""

    def __init__(self, details: Details) -> None:
        self._ahead = details.wall - details.now if details.wall else 0.0
        self.now = self.said(details.now)

    def said(self, at: float) -> str:
        """'14:03:22  '."""
        if not self._ahead or not at:
            return ""
        return time.strftime("%H:%M:%S  ", time.localtime(at + self._ahead))
