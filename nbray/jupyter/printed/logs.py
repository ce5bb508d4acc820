"""Everything that tasks printed, by the cell that launched them; `%nbray logs` reads it.

Owns the full text. Does not own what of it stands under a cell (`router`).
Rule: no line is lost while its cell is remembered; long text lies in an
unnamed temporary file, not in the kernel's memory, and that of cells which are
not among the last to print is packed.
"""

from __future__ import annotations

import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, Self

import msgspec

from nbray.events import Output
from nbray.view import ansi
from nbray.view.names import worker
from nbray.view.printed import Printed, Worker, log_html
from nbray.view.screen import Line, Screen

REMEMBERED = 200
"""Cells whose text is kept."""
RECENT_CELLS = 8
"""Cells whose text is kept ready to be drawn; that of older ones is packed."""
IN_MEMORY = 1 << 20
"""Bytes of one cell's text that are kept in memory; more goes to a file."""
KEPT = 400
"""Lines of a worker that can be shown under its cell."""
MOVING = 20
"""The same while lines still come."""
BOXED = 10_000
"""Lines that `%nbray logs` shows at once."""


class Who(NamedTuple):
    """A worker: its node, that node's name, its pid."""

    node: int
    name: str
    pid: int


Index = list[tuple[Who, bool, int]]
"""(worker, whether stderr, bytes) of each piece of a text."""


class CellLog:
    """What the tasks of one cell printed."""

    __slots__ = ("_cleared", "_file", "_index", "_packed", "_screens", "_size", "pieces")

    def __init__(self) -> None:
        self.pieces = 0
        self._cleared = (0, 0)
        """Lines that are no longer shown, and workers that printed them."""
        self._screens: dict[Who, Screen] = {}
        self._index: Index = []
        self._file: tempfile.SpooledTemporaryFile[bytes] | None = None
        self._packed = b""
        """Index and text, while they are packed; the rest is empty then."""
        self._size = (0, 0)
        """Lines and workers, while they are packed."""

    @property
    def file(self) -> tempfile.SpooledTemporaryFile[bytes]:
        """Where the text lies; made when something is printed, gone while it is packed."""
        if self._file is None:
            self._file = _file()
        return self._file

    @property
    def screens(self) -> dict[Who, Screen]:
        """What each worker's terminal would show."""
        self._unpack()
        return self._screens

    @property
    def size(self) -> tuple[int, int]:
        """Lines, and workers that printed them."""
        if self._packed:
            return self._size
        shown = sum(screen.count for screen in self._screens.values())
        return self._cleared[0] + shown, max(self._cleared[1], len(self._screens))

    def clear(self) -> None:
        """The cell has cleared away what was shown of it; `lines` still has it all."""
        self._unpack()
        self._cleared = self.size
        self._screens = {}

    def pack(self) -> None:
        """Keep the text in little room until it is asked for; what lies in a file stays there."""
        text = self._file
        if text is None or text.closed or text._rolled:  # type: ignore[attr-defined]
            return
        self._size = self.size
        text.seek(0)
        self._packed = zlib.compress(msgspec.msgpack.encode((self._index, text.read())))
        self.close()
        self._file = None
        self._screens, self._index = {}, []

    def _unpack(self) -> None:
        if not self._packed:
            return
        whole = zlib.decompress(self._packed)
        self._packed = b""
        self._cleared = (0, 0)  # all of it is shown again, should it ever be
        self._index, text = msgspec.msgpack.decode(whole, type=tuple[Index, bytes])
        self.file.write(text)
        for order, who, error, piece in self._pieces():
            self._screen(who).feed(piece, error, order)

    def _pieces(self) -> Iterator[tuple[int, Who, bool, str]]:
        self.file.seek(0)
        for order, (who, error, size) in enumerate(self._index, 1):
            yield order, who, error, self.file.read(size).decode("utf-8", "surrogatepass")
        self.file.seek(0, 2)

    def _screen(self, who: Who) -> Screen:
        screen = self._screens.get(who)
        if screen is None:
            screen = self._screens[who] = Screen(KEPT)
        return screen

    def add(self, output: Output) -> None:
        """Note one piece of output."""
        self._unpack()
        who = Who(output.node, output.node_name, output.pid)
        screen = self._screen(who)
        self.pieces += 1
        error = output.stream == "stderr"
        screen.feed(output.text, error, self.pieces)
        data = output.text.encode("utf-8", "surrogatepass")
        self.file.write(data)
        if self._index and self._index[-1][:2] == (who, error):
            self._index[-1] = (who, error, self._index[-1][2] + len(data))
        else:
            self._index.append((who, error, len(data)))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        self.close()

    def printed(self, label: str, recent: int, moving: bool) -> Printed:
        """What to show; fewer lines while they still come."""
        most = MOVING if moving else max(MOVING, KEPT // max(1, len(self.screens)))
        workers: list[Worker] = []
        lines: list[tuple[Worker, Line]] = []
        for who, screen in self.screens.items():
            worker = Worker(who.name, who.pid, screen.count, tuple(screen.tail(most)))
            workers.append(worker)
            lines += [(worker, line) for line in screen.tail(recent)]
        ended = [pair for pair in lines if pair[1].order >= 0]
        live = [pair for pair in lines if pair[1].order < 0]
        ended.sort(key=lambda pair: pair[1].order)  # stable: within a piece as printed
        room = max(0, recent - len(live))
        return Printed(tuple(workers), (*ended[len(ended) - min(room, len(ended)) :], *live), label)

    def lines(self, wanted: str = "") -> list[tuple[Who, Line]]:
        """All lines, as a terminal would end up showing them; *wanted*: of one pid or node."""
        self._unpack()
        screens: dict[Who, Screen] = {}
        found: list[tuple[Who, Line]] = []
        for order, who, error, text in self._pieces():
            if wanted and wanted not in {str(who.pid), who.name, f"{who.name}:{who.pid}"}:
                continue
            screens.setdefault(who, Screen(None)).feed(text, error, order)
        for who, screen in screens.items():
            found += [(who, line) for line in screen.tail(screen.count)]
        found.sort(key=lambda pair: pair[1].order if pair[1].order >= 0 else 1 << 62)
        return found


def _file() -> tempfile.SpooledTemporaryFile[bytes]:
    return tempfile.SpooledTemporaryFile(IN_MEMORY)


class Log(str):  # noqa: SLOT000 - it has a field
    """What tasks printed, as text: a cell shows it in a scrolled box, `print` prints it all."""

    lines: list[tuple[str, Line]]

    def __new__(cls, found: list[tuple[Who, Line]]) -> Self:
        several = len({who for who, _ in found}) > 1
        named = [(worker(who.name, who.pid) if several else "", line) for who, line in found]
        self = super().__new__(cls, "".join(
            f"{f'[{who}] ' if who else ''}{ansi.stripped(line.text)}\n" for who, line in named
        ))  # fmt: skip
        self.lines = named
        return self

    def __repr__(self) -> str:
        return str(self).rstrip("\n")

    def _repr_html_(self) -> str:
        hidden = len(self.lines) - BOXED
        earlier = f"{hidden:,} earlier lines: print(_) has them" if hidden > 0 else ""
        return log_html(self.lines[-BOXED:], earlier)


class Logs:
    """The text of the last cells, by cell."""

    def __init__(self) -> None:
        self._cells: OrderedDict[str, CellLog] = OrderedDict()

    def __len__(self) -> int:
        return len(self._cells)

    def add(self, output: Output) -> CellLog:
        """Note one piece; the cell's log."""
        log = self._cells.get(output.cell)
        if log is None:
            log = self._cells[output.cell] = CellLog()
            for old in list(self._cells)[:-RECENT_CELLS]:
                self._cells[old].pack()
            while len(self._cells) > REMEMBERED:
                self._cells.popitem(last=False)[1].close()
        log.add(output)
        return log

    def get(self, cell: str) -> CellLog | None:
        """The log of *cell*, if its tasks have printed anything."""
        return self._cells.get(cell)

    def cells(self) -> list[str]:
        """The cells that have a log, oldest first."""
        return list(self._cells)

    def workers(self, wanted: str) -> list[tuple[Who, Line]]:
        """Every line of one pid or node, over all cells."""
        return [pair for log in self._cells.values() for pair in log.lines(wanted)]
