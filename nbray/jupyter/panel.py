"""`nbray.panel()`: the cluster's status as a live widget.

Owns the widget, its refreshing and what a saved notebook keeps of it. Does not
own how it looks (`nbray.view`). Rule: one thread for all panels, at most four
looks a second, a message only when the HTML has changed; it ends with the
engine and starts again with the next.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from typing import Any

from ipywidgets import HTML, Box, Layout
from ipywidgets.widgets.widget import _instances as connected_widgets

from nbray import session
from nbray.engine import Engine
from nbray.events import Snapshot
from nbray.exceptions import RayError
from nbray.jupyter.cells import Cells, attach
from nbray.jupyter.live import Live
from nbray.view import panel_html, panel_text

REFRESH = 0.25
"""Seconds between looks at the cluster."""
LIVE = 8
"""Panels that move at the same time; older ones rest with what they last showed, and let go
of their widget, because the kernel keeps every panel it has shown (in `Out`)."""
DISPLAYS = 4
"""Places in which one panel is kept for a save; in older ones only the widget moves."""


class Panel(HTML):  # type: ignore[misc]  # ipywidgets has no types
    """The panel as an `ipywidgets.HTML`, so that it can stand in boxes; `panel()` makes it."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._lives: list[Live] = []
        self._gone = False
        super().__init__(value=panel_html(board.snapshot), layout=_layout())

    @property
    def connected(self) -> bool:
        """Whether the widget is still connected to the front end (`.close()` ends that)."""
        return getattr(self, "comm", None) is not None

    def _ipython_display_(self, **_: Any) -> None:
        """Show it under the running cell, with HTML and text for where widgets do not live."""
        own = attach()
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

    def save(self, html: str, text: str) -> None:
        """Renew what a save of the notebook would hold."""
        for live in self._lives:
            live.save(html, text)

    def rest(self, html: str, text: str) -> None:
        """Stop moving, and leave HTML and text only."""
        self.value = html
        for live in self._lives:
            live.rest(html, text, close=False)

    @property
    def gone(self) -> bool:
        """Whether it has let go of its widget, and could take it up again."""
        return self._gone

    def let_go(self) -> None:
        """End the widget of a panel at rest: its displays hold HTML, and need it no longer.

        One that stands in a box, or waits to be shown, keeps it.
        """
        if not self._lives or any(self in box.children for box in _boxes()):
            return
        self._gone = True
        self._lives.clear()
        for part in (self, self.layout, self.style):
            part.close()
        for name in ("layout", "style"):
            self._trait_values.pop(name, None)  # made anew when asked for
        self.value = ""

    def take_up(self) -> None:
        """Have a widget again."""
        self._gone = False
        self.layout = _layout()
        self.open()


def _layout() -> Layout:
    return Layout(width="100%", margin="0")


def _boxes() -> list[Box]:
    return [one for one in list(connected_widgets.values()) if isinstance(one, Box)]


class Board:
    """All panels of the process and the thread that refreshes them."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self._panels: list[Panel] = []
        self._saved = ""
        self._lock = threading.RLock()
        self._over: threading.Event | None = None
        session.on_install.append(self._engine_changed)
        self.look()

    def look(self) -> bool:
        """Take a fresh snapshot; whether there is an engine to take it from.

        The last one is kept when the engine ends, as evidence.
        """
        engine = session.current()
        if engine is None:
            return False
        try:
            self.snapshot = engine.snapshot()
        except (RayError, OSError):  # the engine is going down under us
            return False
        return True

    def panel(self) -> Panel:
        """A new panel, refreshed from now on."""
        with self._lock:
            self.look()
            new = Panel(self)
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

    def _texts(self, stopped: bool = False) -> tuple[str, str]:
        stopped = stopped and bool(self.snapshot.nodes)
        return panel_html(self.snapshot, stopped), panel_text(self.snapshot, stopped)

    def _save(self, _cell: str) -> None:
        """At a cell's end: what a save of the notebook would hold."""
        with self._lock:
            if session.current() is None:
                return  # at rest, and saved so
            html, text = self._texts()
            if html != self._saved:
                self._saved = html
                for panel in self._panels:
                    panel.save(html, text)

    def _start(self) -> None:
        if self._over is None and session.current() is not None:
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
                texts = self._texts()
                for panel in self._panels:
                    panel.show(*texts)
        with self._lock:
            if self._over is over:
                self._over = None

    def _engine_changed(self, engine: Engine | None) -> None:
        with self._lock:
            if engine is not None:
                if self.look():
                    for panel in self._panels:
                        panel.show(*self._texts())
                    if self._panels:
                        self._start()
                return
            if self._over is not None:
                self._over.set()
                self._over = None
            for panel in self._panels:
                panel.rest(*self._texts(stopped=True))


@cache
def _board() -> Board:
    return Board()


def panel() -> Panel:
    """The cluster's status: nodes, address, CPU, memory, workers, tasks, object store.

    Show it as a cell's last expression or with `display`. It moves while the
    cluster runs, and keeps the last state when the cluster or the kernel ends.
    """
    return _board().panel()
