"""The bars of one cell: whose work they count, how fast it goes, where they are drawn.

Owns the sums and the two places a bar can live in a notebook's life (moving,
at rest). Does not own when bars appear (`progress`) nor how they look (`view`).
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Iterable
from typing import Protocol

import msgspec

from nbray.events import CellView, NodeCounts, Snapshot
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.cells.live import Live, html_widget
from nbray.view import progress_html, progress_text
from nbray.view.progress import moving

WINDOW = 8.0
"""Seconds over which the rate is taken."""


class Surface(Protocol):
    """Where the bars of one cell are drawn."""

    eager: bool
    """Whether the bars come to rest with the wait, not with the cell."""

    def draw(self, view: CellView, now: float, rate: float) -> None:
        """Show the bars as they are now."""

    def keep(self, view: CellView, now: float, rate: float) -> None:
        """The cell has ended, its work has not: what should be kept of it?"""

    def end(self, view: CellView, now: float, rate: float) -> None:
        """Show the final bars."""

    def erase(self) -> None:
        """Take bars away that will not be final."""


class NotebookBars:
    """Bars under a cell, in a widget while they move.

    While something holds the cell's output there are none, and none are made good for later.
    """

    eager = False

    def __init__(self, own: Cells, cell: str) -> None:
        self._live = Live(own, cell, html_widget)
        self._clears = functools.partial(own.clears, cell)
        self._cleared = self._clears()
        self._held = functools.partial(own.held.displays, cell)
        self._missed = False
        """They were not drawn, for something held the cell's output."""

    def draw(self, view: CellView, now: float, rate: float) -> None:
        """Move the widget; the text is only made when the display is."""
        if self._clears() != self._cleared:
            if view.finished:
                return  # the user wants them gone
            self._cleared = self._clears()
            self._live.anew()
            for stream in (sys.stdout, sys.stderr):  # what the cell has printed since stands above
                stream.flush()
        if not self._live.moving and self._held():
            self._missed = True
            return
        text = "" if self._live.moving else progress_text(view, now, rate)
        self._live.show(progress_html(view, now, rate), text)

    def keep(self, view: CellView, now: float, rate: float) -> None:
        """Save the bars as they are; the widget goes on."""
        if self._none():
            return
        self._live.save(progress_html(view, now, rate), progress_text(view, now, rate))

    def end(self, view: CellView, now: float, rate: float) -> None:
        """Replace the widget by the final bars."""
        if self._none():
            return
        if not view.submitted:  # it waited for nobody's work, only for something to arrive
            self._live.rest("", "")
            return
        self._live.rest(progress_html(view, now, rate), progress_text(view, now, rate))

    def _none(self) -> bool:
        """Whether nothing of them is to be seen."""
        return not self._live.shown and (self._missed or self._held())

    def erase(self) -> None:
        """Notebooks keep what was shown."""


class ConsoleBars:
    """Bars in a front end that draws no updates: the final ones, as text."""

    eager = False

    def __init__(self, own: Cells, cell: str) -> None:
        self._own = own
        self._cell = cell
        self._due = False

    def draw(self, view: CellView, now: float, rate: float) -> None:
        """They move, and nobody sees it."""
        self._due = True

    def keep(self, view: CellView, now: float, rate: float) -> None:
        """Unfinished ones would stay so."""

    def end(self, view: CellView, now: float, rate: float) -> None:
        """Print the final bars."""
        if self._due and view.submitted and not self._own.held.displays(self._cell):
            self._own.stream(self._cell, f"{progress_text(view, now, rate)}\n", "stderr")

    def erase(self) -> None:
        """Nothing is there."""


class Meter:
    """How fast work ends: over the last seconds, or on the whole while ends are rare."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, view: CellView, now: float) -> float:
        """Tasks a second at *now*; 0 while nothing has ended."""
        ended = view.done + view.failed
        self._seen.append((now, ended))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        if ended - before >= 5 and now - since >= 0.5:
            return (ended - before) / (now - since)
        whole = now - view.started
        return ended / whole if whole > 0 else 0.0


class Bars:
    """The bars of one cell: which cells' work they count, and the last count."""

    def __init__(self, cell: str, surface: Surface) -> None:
        self.cell = cell
        self.surface = surface
        self.view: CellView | None = None
        self.idle_since: float | None = None
        self.cell_ended = False
        self._follows = {cell}
        self._meter = Meter()

    def look(self, snapshot: Snapshot | None, waiting: bool) -> CellView | None:
        """The counts as *snapshot* has them; None while there is nothing to show.

        A cell that waits for work of other cells counts theirs, and one that waits where
        all work has ended says what is on its way. Work whose engine has ended is
        counted as cancelled.
        """
        found: dict[str, CellView] = snapshot.cells if snapshot is not None else {}
        own = found.get(self.cell)
        if waiting and (own is None or own.finished) and (self.view is None or self.view.finished):
            self._follows |= {name for name, view in found.items() if not view.finished}
        views = [found[name] for name in self._follows if name in found]
        on_the_way = (*snapshot.awaited, *moving(snapshot)) if snapshot is not None else ()
        if views:
            self.view = together(self.cell, views)
            if on_the_way and (waiting or not self.view.finished):
                why = (*self.view.waiting, *on_the_way)
                self.view = msgspec.structs.replace(self.view, waiting=why)
        elif self.view is not None and not self.view.finished:
            rest = self.view.submitted - self.view.done - self.view.failed
            still = tuple(msgspec.structs.replace(node, running=0) for node in self.view.nodes)
            self.view = msgspec.structs.replace(
                self.view, cancelled=self.view.cancelled + rest, nodes=still, waiting=()
            )
        elif self.view is None and waiting and on_the_way:
            self.view = CellView(self.cell)
        if self.view is not None and not self.view.submitted:
            self.view = msgspec.structs.replace(self.view, waiting=on_the_way)
        return self.view

    def draw(self, now: float) -> None:
        """Draw the last counts."""
        if self.view is not None and (self.view.submitted or self.view.waiting):
            self.surface.draw(self.view, now, self._meter.rate(self.view, now))

    def keep(self, now: float) -> None:
        """The cell has ended before its work."""
        if self.view is not None:
            self.surface.keep(self.view, now, self._meter.rate(self.view, now))

    def end(self, now: float) -> None:
        """Draw the final bars."""
        if self.view is not None:
            if self.view.finished:  # nothing waits any more
                self.view = msgspec.structs.replace(self.view, waiting=())
            self.surface.end(self.view, now, self._meter.rate(self.view, now))


def together(cell: str, views: Iterable[CellView]) -> CellView:
    """The sum of several cells' counts, as one cell's."""
    found = list(views)
    if len(found) == 1:
        return found[0]
    nodes: dict[int, NodeCounts] = {}
    for node in (node for view in found for node in view.nodes):
        before = nodes.get(node.number, NodeCounts(node.number, node.name))
        nodes[node.number] = NodeCounts(
            number=node.number,
            name=node.name,
            done=before.done + node.done,
            running=before.running + node.running,
            failed=before.failed + node.failed,
            cancelled=before.cancelled + node.cancelled,
        )
    return CellView(
        cell=cell,
        submitted=sum(view.submitted for view in found),
        nodes=tuple(nodes[number] for number in sorted(nodes)),
        started=min(view.started for view in found),
        updated=max(view.updated for view in found),
        waiting=tuple(dict.fromkeys(reason for view in found for reason in view.waiting)),
        cancelled=sum(view.cancelled for view in found),
        lost=sum(view.lost for view in found),
        rows=tuple(row for view in found for row in view.rows),
    )
