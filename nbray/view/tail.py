"""The last lines that tasks have printed, by whom.

Owns their order and which are left out. Does not own how they look nor where
they stand (`sections`, `inside`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbray.details import Details, TextRecord
from nbray.view.names import Names, cell_key, worker

Line = tuple[str, str, bool]
"""(who printed it, the line, whether to stderr)."""


def tail(
    details: Details, names: Names, limit: int, cell: str = "", words: Sequence[str] = ()
) -> tuple[list[Line], bool]:
    """The last *limit* lines, oldest first, and whether there are more.

    Of *cell* alone (see `names.cell_key`), and only those that hold all *words*.
    """
    lines: list[Line] = []
    for piece in reversed(details.texts):
        if cell and cell_key(piece.job, piece.cell) != cell:
            continue
        who = _who(piece, names)
        fresh = [
            (who, line.rstrip("\r").rpartition("\r")[2], piece.stream == "stderr")
            for line in _plain(piece.text).rstrip("\n").split("\n")
        ]
        if words:
            fresh = [
                one for one in fresh if all(word in f"{one[0]} {one[1]}".lower() for word in words)
            ]
        lines += reversed(fresh)
        if len(lines) > limit:
            break
    return lines[:limit][::-1], len(lines) > limit


def _who(piece: TextRecord, names: Names) -> str:
    return f"{worker(names.node(piece.node), piece.pid)} · {piece.task}"


def _plain(text: str) -> str:
    from nbray.view.output import ANSI

    return ANSI.sub("", text)
