"""What tasks print and display, under the cell that launched them.

Owns when it is drawn, and the one thread that draws what comes late. Does not
own the text (`logs`), its look (`nbray.view.printed`) nor the sending
(`cells`). Rule: a cell has one display for all that its tasks print, drawn at
most five times a second however much comes, and once more when nothing comes
any longer; rich output follows in the order in which it came. What something else
holds (`held`) goes there and nowhere else; a front end that draws no updates gets lines.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from nbray.events import Display, Output
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.cells.output_holders import write
from nbray.jupyter.printed.file_names import named
from nbray.jupyter.printed.lines import Lines
from nbray.jupyter.printed.logs import CellLog, Logs
from nbray.view.printed import PLAIN, RECENT, printed_html, printed_text

DRAW = 0.2
"""Seconds between drawings of one cell's text."""
REST = 1.0
"""Seconds without text after which all that may be folded out is drawn."""
IDLE = 5.0
"""Seconds after which the thread ends."""
EMPTY = '<div class="nbray nbray-output"></div>'


class _Place:
    """The display of one cell's text."""

    __slots__ = ("clears", "dirty", "drawn", "id", "moving", "shown")

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.shown = False
        self.clears = 0
        """How often its cell had cleared its output away when this was made."""
        self.drawn = 0.0
        self.dirty = False
        self.moving = False
        """What was drawn last is not all that may be folded out."""


class Router:
    """Takes events and draws them through *cells*. Any thread.

    Args:
        unfinished: how many tasks of a cell have not ended (a place is kept for their output).
        waiting: whether a call waits, at whose end `wait_ended` is called.
    """

    def __init__(
        self, cells: Cells, unfinished: Callable[[str], int] = lambda _cell: 0,
        clock: Callable[[], float] = time.monotonic, waiting: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.logs = Logs()
        self.lines = Lines(cells.stream, clock)
        self._waiting = waiting
        self._cells = cells
        self._unfinished = unfinished
        self._clock = clock
        self._places: dict[str, _Place] = {}
        self._lock = threading.RLock()
        self._wakeup = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, event: Output | Display) -> None:
        """Show one piece of output."""
        if isinstance(event, Output) and (text := named(event.text)) is not event.text:
            event = msgspec.structs.replace(event, text=text)
        with self._lock:
            if isinstance(event, Display):
                self.lines.flush()
                self._draw_if_dirty(event.cell)
                self._display(event)
                return
            if not event.text:
                return
            if self._is_held(event):
                return
            if self._cells.kernel is None:  # a terminal: there is one place to print to
                self._cells.stream(event.cell, event.text, event.stream)
                return
            place = self._place(event.cell)
            log = self.logs.add(event)
            if not self._cells.updates:
                self._line(event.cell, event)
                return
            place.dirty = True
            now = self._clock()
            if now - place.drawn >= DRAW:
                self._draw(event.cell, place, log, now)
            self._watch()

    def _is_held(self, event: Output) -> bool:
        """Whether something holds the text, and has it now."""
        held = self._cells.held
        out = held.stream(event.cell, event.stream)
        if out is not None:
            self._draw_if_dirty(event.cell)
            return write(out, event.text)
        box = held.box(event.cell)
        if not box:
            return False
        self._line(self._cells.adopt(box), event)
        return True

    def _line(self, cell: str, event: Output) -> None:
        # Behind what the cell itself has printed, which the kernel sends a little late.
        if not self.lines.text:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        self.lines.add(cell, event.stream, event.text, self._waiting())
        if self.lines.text:
            self._watch()

    def wait_ended(self) -> None:
        """A call that waited is over: what it waited for is all seen before it returns."""
        with self._lock:
            self.lines.flush()

    def _display(self, event: Display) -> None:
        content: dict[str, Any] = {
            "data": event.data,
            "metadata": event.metadata,
            "transient": {"display_id": event.display_id} if event.display_id else {},
        }
        held = self._cells.held
        keeps = held.publisher(event.cell)
        if keeps is not None:
            keeps.publish(
                event.data, event.metadata, transient=content["transient"], update=event.update
            )
            return
        box = held.box(event.cell)
        cell = self._cells.carrier(event.cell) if event.update else event.cell
        if box:
            cell = self._cells.adopt(box)
        kind = "update_display_data" if event.update else "display_data"
        self._cells.publish(cell, kind, content)

    def _place(self, cell: str) -> _Place:
        place = self._places.get(cell)
        clears = self._cells.clears(cell)
        if place is not None and place.clears != clears:
            place = None  # what it stood in is gone, and what is said from now on stands alone
            log = self.logs.get(cell)
            if log is not None:
                log.clear()
        if place is None:
            place = self._places[cell] = _Place()
            place.clears = clears
            known = set(self.logs.cells())
            for old in [one for one in self._places if one not in known and one != cell][:-50]:
                del self._places[old]
        return place

    def _draw(
        self, cell: str, place: _Place, log: CellLog, now: float, moving: bool = True
    ) -> None:
        place.drawn = now
        place.dirty = False
        # Few lines look the same at rest, and need not be drawn twice.
        total = sum(screen.count for screen in log.screens.values())
        recent = PLAIN if len(log.screens) == 1 and total <= PLAIN else RECENT
        printed = log.printed(self._cells.label(cell), recent, moving)
        place.moving = moving and any(len(one.lines) < one.count for one in printed.workers)
        data = {"text/html": printed_html(printed), "text/plain": printed_text(printed)}
        self._cells.display(cell, data, display_id=place.id, update=place.shown)
        place.shown = True

    def _draw_if_dirty(self, cell: str) -> None:
        place, log = self._places.get(cell), self.logs.get(cell)
        if place is not None and log is not None and place.dirty:
            self._draw(cell, place, log, self._clock())

    def cell_ended(self, cell: str) -> None:
        """*cell* is over: draw what is left, or keep a place for what will come."""
        with self._lock:
            self.lines.flush()
            self.flush()  # other cells' as well: who runs a notebook headless reads no further
            if cell and cell not in self._places and self._unfinished(cell):
                # Several front ends drop what is new after a cell's end, but not updates.
                place = self._place(cell)
                data = {"text/html": EMPTY, "text/plain": ""}
                self._cells.display(cell, data, display_id=place.id)
                place.shown = True

    def flush(self) -> None:
        """Draw everything that is not drawn yet."""
        with self._lock:
            for cell, place in list(self._places.items()):
                log = self.logs.get(cell)
                if log is not None and (place.dirty or place.moving):
                    self._draw(cell, place, log, self._clock(), moving=False)

    def tick(self) -> bool:
        """Draw what is due; whether anything will be."""
        with self._lock:
            now = self._clock()
            self.lines.flush()
            open_ = False
            for cell, place in list(self._places.items()):
                log = self.logs.get(cell)
                if log is None or not (place.dirty or place.moving):
                    continue
                since = now - place.drawn
                if place.dirty and since >= DRAW:
                    self._draw(cell, place, log, now)
                elif since >= REST:
                    self._draw(cell, place, log, now, moving=False)
                open_ = open_ or place.dirty or place.moving
            return open_

    # -- the thread -------------------------------------------------------------------

    def _watch(self) -> None:
        self._wakeup.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nbray-output", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            if self.tick():
                time.sleep(DRAW / 2)
                continue
            if self._wakeup.wait(IDLE):
                self._wakeup.clear()
                time.sleep(DRAW / 4)
                continue
            with self._lock:
                if not self._wakeup.is_set():
                    self._thread = None
                    return
