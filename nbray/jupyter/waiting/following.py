"""A display that follows what it shows to its end, under the cell that showed it.

Owns the thread that asks and the updates. Does not own what is asked nor how it looks.
Rule: it asks once a second, sends only what has changed, and ends with what it follows,
with the cluster, or when newer displays have taken its turn.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from html import escape

from nbray import session
from nbray.exceptions import RayError
from nbray.jupyter.notebook import Notebook, current

STEP = 1.0
"""Seconds between looks."""
MOST = 20
"""Displays that are followed at a time; the oldest stays as it was last seen."""

_PRE = '<pre style="margin:0;padding:0;background:none">'
"""A text stands where the cell's other texts stand."""

Look = Callable[[], tuple[str, str, bool]]
"""HTML ('' if the text is all there is), text, and whether it will still change."""

class Following:
    """The displays of one notebook that follow something."""

    def __init__(self, notebook: Notebook) -> None:
        self._cells = notebook.cells
        self._places: list[str] = []

    def follow(self, look: Look) -> bool:
        """Display what *look* says, and keep it so; False where displays cannot be updated."""
        own = self._cells
        if own.kernel is None or not own.updates:
            return False
        cell = session.cell.get()
        if own.held.displays(cell):
            return False
        html, text, moving = look()
        place = uuid.uuid4().hex
        own.display(cell, _data(html, text), display_id=place)
        if moving:
            self._places.append(place)
            del self._places[:-MOST]
            threading.Thread(
                target=self._run, args=(look, cell, place, text), name="nbray-following",
                daemon=True,
            ).start()  # fmt: skip
        return True

    def _run(self, look: Look, cell: str, place: str, shown: str) -> None:
        moving = True
        while moving and place in self._places:
            time.sleep(STEP)
            try:
                html, text, moving = look()
            except (RayError, ValueError, OSError):
                break  # the cluster has ended, or what was followed is forgotten
            if text != shown:
                self._cells.display(cell, _data(html, text), display_id=place, update=True)
                shown = text
        if place in self._places:
            self._places.remove(place)


def follow(look: Look) -> bool:
    """`Following.follow` of this process's notebook."""
    return current().part(Following).follow(look)


def _data(html: str, text: str) -> dict[str, str]:
    return {"text/html": html or f"{_PRE}{escape(text)}</pre>", "text/plain": text}
