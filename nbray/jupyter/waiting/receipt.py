"""The receipt under a cell, when its work has ended.

Owns when it is shown. Does not own what it says (`nbray.view.receipt`). Rules:
a cell that launched nothing pays for one look at the engine; one whose work
goes on after its end keeps a place, because front ends drop what is new later,
and one thread fills the places of such cells.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from nbray.events import CellView, Snapshot
from nbray.exceptions import RayError
from nbray.jupyter.cells.cells import Cells
from nbray.view.receipt import Receipt, receipt, receipt_html, receipt_text

LOOK = 0.5
"""Seconds between looks at work that outlives its cell."""
EMPTY = '<div class="nbray nbray-receipt"></div>'


class ReceiptDisplay:
    """A receipt that was asked for."""

    def __init__(self, what: Receipt) -> None:
        self._what = what

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": receipt_html(self._what), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return receipt_text(self._what)


class Receipts:
    """The receipts of one notebook; `cell_ended` is called after each cell."""

    def __init__(self, cells: Cells, snapshot: Callable[[], Snapshot | None]) -> None:
        self._cells = cells
        self._snapshot = snapshot
        self._late: dict[str, str] = {}
        """Cells whose work goes on: the id of the place kept for them."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def _look(self) -> dict[str, CellView] | None:
        try:
            snapshot = self._snapshot()
        except (RayError, OSError):  # the engine is going down under us
            return None
        return snapshot.cells if snapshot is not None else None

    def cell_ended(self, cell: str) -> None:
        """*cell* is over."""
        if self._cells.quiet(cell):
            return
        view = (self._look() or {}).get(cell)
        if view is None or not view.submitted:
            return
        if view.finished:
            self._show(view, "")
            return
        place = uuid.uuid4().hex
        data = {"text/html": EMPTY, "text/plain": ""}
        self._cells.display(cell, data, display_id=place)
        with self._lock:
            self._late[cell] = place
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="nbray-receipt", daemon=True)
                self._thread.start()

    def _show(self, view: CellView, place: str) -> None:
        what = receipt(view)
        if what is not None:
            data = {"text/html": receipt_html(what), "text/plain": receipt_text(what)}
            if not place:  # the kernel sends what the cell printed a little late
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
            self._cells.display(view.cell, data, display_id=place, update=bool(place))

    def tick(self) -> bool:
        """Fill the places of cells whose work has ended; whether any is left."""
        views = self._look()
        with self._lock:
            late = dict(self._late)
        for cell, place in late.items():
            view = views.get(cell) if views is not None else None
            if view is not None and not view.finished:
                continue
            if view is not None:
                self._show(view, place)
            with self._lock:
                del self._late[cell]
        with self._lock:
            return bool(self._late)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK)
            if not self.tick():
                with self._lock:
                    if not self._late:
                        self._thread = None
                        return
