"""`nbray.timeline()`: which worker ran what when, as a picture, as text, as a Chrome trace.

Owns the asking, and which cell is meant. Does not own the picture (`nbray.view.timeline`)
nor the records (`nbray.details`). Works in notebooks, terminals and scripts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbray import details as d
from nbray import figures, session
from nbray.details import Details
from nbray.jupyter.notebook import current
from nbray.view.names import Names, cell_key
from nbray.view.tables import Query
from nbray.view.tasks import bars
from nbray.view.timeline import Bar, chrome_trace, timeline_html, timeline_text

LONGEST = 3.0
"""Seconds that the answers of all processes are waited for."""
QUIET = 0.3
"""Seconds without a new answer after which all have answered that will."""
LOOK = 0.02
"""Seconds between looks."""


class Timeline(list[dict[str, Any]]):
    """What ran when; a cell shows it as a picture. Made by `nbray.timeline()`.

    As a list it is what Ray's is: `events`.
    """

    def __init__(self, found: list[Bar], missing: int = 0) -> None:
        super().__init__(chrome_trace(found))
        self.bars = found
        """One for each task: node, pid, function, cell, start and end in seconds."""
        self.missing = missing
        """Tasks that ended too long ago to be remembered."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The same as Chrome's trace events, times in microseconds."""
        return chrome_trace(self.bars)

    def save(self, filename: str | Path) -> None:
        """Write `events` as JSON, for chrome://tracing or ui.perfetto.dev."""
        Path(filename).write_text(json.dumps(self.events))

    def _note(self) -> str:
        if not self.missing:
            return ""
        return f"{figures.noun(self.missing, 'earlier task')} not shown: workers remember the last."

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        html = timeline_html(self.bars)
        if self._note():
            html += f'\n<div class="nbray"><p class="nbray-why">{self._note()}</p></div>'
        return {"text/html": html, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return "\n".join(part for part in (timeline_text(self.bars), self._note()) if part)


def timeline(cell: str | int | None = None, filename: str | Path | None = None) -> Timeline:
    """Which worker ran what when: all tasks that are remembered, or those of one *cell*.

    Each worker remembers its last 2,000 tasks, and its node those of workers that have ended,
    10,000 of them.

    Args:
        cell: what stands in its brackets: 3 or 'In[3]' (None: all work of the cluster).
        filename: where to write it as a Chrome trace as well, as `ray.timeline` does.

    Raises:
        ValueError: there is no such cell.
        RuntimeError: nbray does not run: there is nothing to show, and nothing is started; or its
            engine has no records of tasks.
    """
    if filename is None and cell is not None and Path(str(cell)).suffix + Path(str(cell)).root:
        cell, filename = None, str(cell)  # ray.timeline("trace.json")
    wanted = None if cell is None else _identity(cell)
    engine = session.current()
    if engine is None:
        raise RuntimeError("nbray is not running: call nbray.init() first")
    if engine.capabilities.records:
        raise RuntimeError(engine.capabilities.records)
    details = gather(lambda: engine.insight.details(d.TASKS))
    names = Names(engine.insight.snapshot(), details)
    query = Query() if wanted is None else Query(cell=cell_key(details.me, wanted))
    found = bars(details, names, query)
    ran = sum(
        one.view.done + one.view.failed - one.view.lost - one.view.cancelled - one.view.items
        for one in details.cells
        if wanted is None or (one.view.cell, one.driver) == (wanted, details.me)
    )
    ended = sum(not bar.open for bar in found)
    made = Timeline(found, max(0, ran - ended) if found and not _mapped(details, wanted) else 0)
    if filename is not None:
        made.save(filename)
    return made


def _mapped(details: Details, wanted: str | None) -> bool:
    """Whether items of a map are among the counts: those are no tasks of their own."""
    return any(one.view.items for one in details.cells if wanted in (None, one.view.cell))


def _identity(cell: str | int) -> str:
    found = current().cells.labelled(str(cell))
    if not found:
        raise ValueError(
            f"timeline(): there is no cell {cell!r}: give the number in its brackets, "
            "or nothing for all cells"
        )
    return found


def gather(
    look: Callable[[], Details], clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Details:  # fmt: skip
    """Ask all processes, until those have answered that will."""
    began = changed = clock()
    found = look()
    first = found.version
    while (now := clock()) - began < LONGEST:
        sleep(LOOK)
        before, found = found.version, look()
        if found.version != before:
            changed = now
        elif found.version != first and now - changed > QUIET:
            break
    return found
