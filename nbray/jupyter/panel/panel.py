"""`nbray.panel()`: the cluster's status as a live widget, with its buttons.

Owns the widget, its refreshing and what a saved notebook keeps of it. Does not
own how it looks (`nbray.view`) nor its buttons (`controls`). Rule: one thread
for all panels, at most four looks a second, a message only when something has
changed; it ends with the engine and starts again with the next. The buttons are
there while the cluster runs, for whoever could as well run a cell (`audience`).
"""

from __future__ import annotations

import functools
import operator
import sys
import threading
import time
from typing import Any

from ipywidgets import HTML, Box, Layout, VBox

from nbray import session
from nbray.engine import Engine
from nbray.events import Snapshot
from nbray.exceptions import RayError
from nbray.jupyter.cells.audience import audience
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.cells.live import Live
from nbray.jupyter.notebook import Notebook, current
from nbray.jupyter.panel.actions import Errands, removable
from nbray.jupyter.panel.controls import Controls, Seen, end
from nbray.view import panel_html, panel_text
from nbray.view.panel_details import KINDS, details_html

REFRESH = 0.25
"""Seconds between looks at the cluster."""
FIRST = 0.3
"""Seconds that a new panel waits for a first picture, so as not to begin with an empty one."""
LIVE = 8
"""Panels that move at the same time; older ones rest with what they last showed, and let go
of their widgets, because the kernel keeps every panel it has shown (in `Out`)."""
DISPLAYS = 4
"""Places in which one panel is kept for a save; in older ones only the widget moves."""


class Panel(VBox):  # type: ignore[misc]  # ipywidgets has no types
    """The panel as an `ipywidgets.VBox`, so that it can stand in boxes; `panel()` makes it."""

    def __init__(self, board: Board, controls: bool = True) -> None:
        seen_by = audience(board.notebook.cells.kernel)
        self._board = board
        self._lives: list[Live] = []
        self._gone = False
        self._closed = False
        self._widgets = seen_by.widgets
        self._allowed = controls and seen_by.controls
        self._controls: Controls | None = None
        self._html = panel_html(board.snapshot)
        self._view: HTML | None = _view(self._html) if self._widgets else None
        if self._view is not None:
            super().__init__(children=(self._view,), layout=_layout())
        else:
            super().__init__()

    def open(self) -> None:
        """Have a model in the page, where widgets make sense."""
        if self._widgets:
            super().open()

    @property
    def connected(self) -> bool:
        """Whether the widget is still connected to the front end (`.close()` ends that)."""
        if not self._widgets:
            return not self._closed
        parts = (self, self._view)  # `Widget.close_all()` closes them one by one
        return all(getattr(part, "comm", None) is not None for part in parts)

    @property
    def value(self) -> str:
        """The HTML of the table."""
        return str(self._view.value) if self._view is not None else self._html

    @value.setter
    def value(self, html: str) -> None:
        self._html = "" if self._widgets else html
        if self._view is not None:
            self._view.value = html

    @property
    def drawer(self) -> str:
        """Which of the drawers under the table is open ('' for none)."""
        return self._controls.open if self._controls is not None else ""

    def _ipython_display_(self, **_: Any) -> None:
        """Show it under the running cell, with HTML and text for where widgets do not live."""
        own = self._board.notebook.attach().cells
        if own.kernel is None:
            sys.stdout.write(f"{self!r}\n")
            return
        self._lives.append(Live(own, session.cell.get(), lambda _html: self))
        del self._lives[:-DISPLAYS]
        self._board.shown(self, own)

    def __repr__(self) -> str:
        return panel_text(self._board.snapshot)

    def show(self, html: str, text: str) -> None:
        """Move to *html*."""
        self.value = html
        for live in self._lives:
            if not live.moving:
                live.show(html, text)

    def control(self, seen: Seen) -> None:
        """Move the buttons and what they have opened; where there are none, nothing."""
        if not self._allowed:
            return
        if self._controls is None:
            self._controls = Controls(self._board.errands, self._board.nudge, self._board.lock)
            self.children = (self._view, *self._controls.children)
        self._controls.show(seen)

    def save(self, html: str, text: str) -> None:
        """Renew what a save of the notebook would hold."""
        for live in self._lives:
            live.save(html, text)

    def rest(self, html: str, text: str) -> None:
        """Stop moving, and leave HTML and text only."""
        self.value = html
        self._bare()
        for live in self._lives:
            live.rest(html, text, close=False)

    def _bare(self) -> None:
        """No buttons: there is nothing that they could change."""
        if self._controls is not None:
            controls, self._controls = self._controls, None
            self.children = (self._view,) if self._view is not None else ()
            controls.close()

    @property
    def gone(self) -> bool:
        """Whether it has let go of its widgets, and could take them up again."""
        return self._gone

    def let_go(self) -> None:
        """End the widgets of a panel at rest: its displays hold HTML, and need them no longer.

        One that stands in a box, or waits to be shown, keeps them.
        """
        if not self._lives or any(self in box.children for box in _boxes()):
            return
        self._gone = True
        self._lives.clear()
        self.close()

    def close(self) -> None:
        """End the widget, with its buttons."""
        self._closed = True
        if getattr(self, "comm", None) is None:
            return
        layout, view, self._view = self.layout, self._view, None
        super().close()  # first: from now on no change is sent
        self._bare()
        if view is not None:
            end(view)
        layout.close()
        self.children = ()
        self._trait_values.pop("layout", None)  # made anew when asked for

    def take_up(self) -> None:
        """Have widgets again."""
        self._gone = self._closed = False
        if not self._widgets:
            return
        self._view = _view("")
        self.layout = _layout()
        self.children = (self._view,)
        self.open()


def _view(html: str) -> HTML:
    return HTML(value=html, layout=_layout())


def _layout() -> Layout:
    return Layout(width="100%", margin="0")


def connected_widgets() -> dict[str, Any]:
    """All widgets that have a model in a page, by its id."""
    from ipywidgets.widgets import widget

    # ipywidgets 7 keeps them with the class, 8 in its module.
    known: dict[str, Any] | None = getattr(widget, "_instances", None)
    return dict(widget.Widget.widgets) if known is None else dict(known)


def _boxes() -> list[Box]:
    return [one for one in connected_widgets().values() if isinstance(one, Box)]


class Board:
    """All panels of a notebook and the thread that refreshes them."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.snapshot = Snapshot()
        self.lock = self._lock = threading.RLock()
        self.errands = Errands(self.nudge)
        self._panels: list[Panel] = []
        self._saved = ""
        self._known: tuple[object, ...] = ()
        """The cluster for which `_removable` and `_mine` were found out."""
        self._removable = 0
        self._mine = ""
        self._over: threading.Event | None = None
        session.on_install.append(self._engine_changed)
        self.look()

    def look(self) -> bool:
        """Take a fresh snapshot; whether there is an engine to take it from.

        The last one is kept when the engine ends, as evidence.
        """
        engine = session.live()
        if engine is None:
            return False
        try:
            self.snapshot = engine.insight.snapshot()
        except (RayError, OSError):  # the engine is going down under us
            return False
        return True

    def panel(self, controls: bool = True) -> Panel:
        """A new panel, refreshed from now on."""
        with self._lock:
            deadline = time.monotonic() + FIRST
            while self.look() and not self.snapshot.nodes and time.monotonic() < deadline:
                time.sleep(0.005)  # a picture has been asked for, and is on its way
            new = Panel(self, controls)
            self._add(new)
            return new

    def _add(self, new: Panel) -> None:
        self._panels = [panel for panel in self._panels if panel.connected]
        while len(self._panels) >= LIVE:
            old = self._panels.pop(0)
            old.rest(*self._texts())
            old.let_go()
        if new.connected:
            self._panels.append(new)
            seen = self._seen()
            if seen is not None:
                new.control(seen)
            self._start()

    def shown(self, panel: Panel, own: Cells) -> None:
        """*panel* has a new display: fill it."""
        with self._lock:
            alive = self.look()
            if alive and panel.gone:
                panel.take_up()
                self._add(panel)
            texts = self._texts(stopped=not alive)
            panel.show(*texts)
            if not alive and self.snapshot.nodes:
                panel.rest(*texts)
            self._saved = texts[0]
            if self._save not in own.on_end:
                own.on_end.append(self._save)

    def nudge(self) -> None:
        """Something was clicked, or done: show it at once. From any thread."""
        with self._lock:
            if self.look():
                self._show()

    def _show(self) -> None:
        """Move all panels to what was last seen."""
        self._panels = [panel for panel in self._panels if panel.connected]
        texts = self._texts()
        seen = self._seen()
        for panel in self._panels:
            panel.show(*texts)
            if seen is not None:
                panel.control(seen)

    def _seen(self) -> Seen | None:
        """What the buttons have to know; None when the engine has just ended."""
        engine = session.live()
        if engine is None:
            return None
        state = self.errands.state
        live = frozenset(node.number for node in self.snapshot.nodes if node.alive)
        kinds = {panel.drawer for panel in self._panels} & set(KINDS)
        try:
            if self._known != (engine, live, state.busy):  # it reads files: not at every look
                self._removable = removable(engine)
                self._mine = engine.context.runtime().node_id
                self._known = (engine, live, state.busy)
            inside = {}
            if kinds:
                wanted = [KINDS[kind].wanted for kind in kinds]
                details = engine.insight.details(functools.reduce(operator.or_, wanted))
                inside = {kind: details_html(kind, self.snapshot, details) for kind in kinds}
        except (RayError, OSError):  # the engine is going down under us
            return None
        nodes = engine.capabilities.nodes
        return Seen(self.snapshot, state, self._removable, self._mine, nodes, inside)

    def _texts(self, stopped: bool = False) -> tuple[str, str]:
        stopped = stopped and bool(self.snapshot.nodes)
        return panel_html(self.snapshot, stopped), panel_text(self.snapshot, stopped)

    def _save(self, _cell: str) -> None:
        """At a cell's end: what a save of the notebook would hold."""
        with self._lock:
            if session.live() is None:
                return  # at rest, and saved so
            html, text = self._texts()
            if html != self._saved:
                self._saved = html
                for panel in self._panels:
                    panel.save(html, text)

    def _start(self) -> None:
        if self._over is None and session.live() is not None:
            self._over = threading.Event()
            threading.Thread(
                target=self._run, args=(self._over,), name="nbray-panel", daemon=True
            ).start()

    def _run(self, over: threading.Event) -> None:
        while not over.wait(REFRESH):
            with self._lock:
                self._panels = [panel for panel in self._panels if panel.connected]
                if over.is_set() or not self._panels or not self.look():
                    break
                self._show()
        with self._lock:
            if self._over is over:
                self._over = None
                if session.ended():  # by itself: nobody here has stopped it
                    self._rest()

    def _engine_changed(self, engine: Engine | None) -> None:
        with self._lock:
            if engine is not None:
                if self._panels and self.look():
                    self._show()
                    self._start()
                return
            if self._over is not None:
                self._over.set()
                self._over = None
            self._rest()

    def _rest(self) -> None:
        """The cluster has ended: all panels keep what was last seen of it."""
        self._known = ()
        self.errands.hide()
        self._panels = [panel for panel in self._panels if panel.connected]
        for panel in self._panels:
            panel.rest(*self._texts(stopped=True))


def panel(controls: bool = True) -> Panel:
    """The cluster's status: nodes with CPU, memory, object store, GPUs, workers, tasks.

    Show it as a cell's last expression or with `display`. It moves while the
    cluster runs, and keeps the last state when the cluster or the kernel ends.
    Its buttons add a node on this machine and take it away, stop any one node
    (gently: when its tasks have ended; or at once), show the line by which
    another machine joins, jobs by cell, actors, and what was printed last.

    Args:
        controls: with these buttons. There are none in any case where
            NBRAY_CONTROLS=0 is in the kernel's environment, on a page for
            visitors (voila), and in a batch run (nbconvert, papermill).
    """
    return current().part(Board).panel(controls)


def show() -> bool:
    """Display a panel under the running cell; False outside a notebook, where it does nothing."""
    if current().attach().cells.kernel is None:
        return False
    panel()._ipython_display_()
    return True
