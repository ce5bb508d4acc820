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
from nbray.jupyter.cells import cells

STEP = 1.0
"""Seconds between looks."""
MOST = 20
"""Displays that are followed at a time; the oldest stays as it was last seen."""

Look = Callable[[], tuple[str, str, bool]]
"""HTML ('' if the text is all there is), text, and whether it will still change."""

_followed: list[str] = []


def follow(look: Look) -> bool:
    """Display what *look* says, and keep it so; False where displays cannot be updated."""
    own = cells()
    if own.kernel is None or not own.updates:
        return False
    cell = session.cell.get()
    if own.held.displays(cell):
        return False
    html, text, moving = look()
    place = uuid.uuid4().hex
    own.display(cell, _data(html, text), display_id=place)
    if moving:
        _followed.append(place)
        del _followed[:-MOST]
        threading.Thread(
            target=_run, args=(look, cell, place, text), name="nbray-following", daemon=True
        ).start()
    return True


def _run(look: Look, cell: str, place: str, shown: str) -> None:
    moving = True
    while moving and place in _followed:
        time.sleep(STEP)
        try:
            html, text, moving = look()
        except (RayError, ValueError, OSError):
            break  # the cluster has ended, or what was followed is forgotten
        if text != shown:
            cells().display(cell, _data(html, text), display_id=place, update=True)
            shown = text
    if place in _followed:
        _followed.remove(place)


def _data(html: str, text: str) -> dict[str, str]:
    return {"text/html": html or f"<pre>{escape(text)}</pre>", "text/plain": text}
