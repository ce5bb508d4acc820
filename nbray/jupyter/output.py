"""What tasks print, under the cell that launched them.

Owns the prefixes: none while one worker prints, '[node pid] ' once a second
one does. Does not own the sending (`cells`). Rule: nothing is dropped and
nothing is reordered within a worker; a worker's open line is closed before
another one's text begins.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from nbray.events import Output

REMEMBERED = 200
"""Cells whose printing workers are remembered."""

Write = Callable[[str, str, str], None]
"""(cell, text, 'stdout' or 'stderr')."""


class _Printers:
    """Who has printed under one cell so far."""

    def __init__(self) -> None:
        self.workers: set[tuple[int, int]] = set()
        self.open: tuple[int, int] | None = None
        """The worker whose last line is not ended yet."""


class Router:
    """Writes output events through *write*. Any thread."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._cells: OrderedDict[str, _Printers] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, output: Output) -> None:
        """Show one piece of output."""
        if not output.text:
            return
        with self._lock:  # held while writing, so that pieces leave in the order they came
            text = self._prefixed(output)
            self._write(output.cell, text, output.stream)

    def _prefixed(self, output: Output) -> str:
        printers = self._cells.setdefault(output.cell, _Printers())
        self._cells.move_to_end(output.cell)
        while len(self._cells) > REMEMBERED:
            self._cells.popitem(last=False)
        worker = (output.node, output.pid)
        printers.workers.add(worker)
        text = output.text
        if len(printers.workers) > 1:
            lines = text.splitlines(keepends=True)
            prefix = f"[{output.node_name} {output.pid}] "
            first = "" if printers.open == worker else prefix
            text = first + prefix.join(lines)
        if printers.open not in (None, worker):
            text = f"\n{text}"
        printers.open = None if text.endswith("\n") else worker
        return text
