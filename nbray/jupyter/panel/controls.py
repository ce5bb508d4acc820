"""The buttons under a panel: nodes to add, take away, stop; join line; jobs, actors, groups, logs.

Owns the widgets of one panel, and which of its drawers is open. Does not own
what a click does (`actions`) nor what is shown (`nbray.view`). Rules: core
widgets only; a control is a widget of its own and never part of HTML that is
replaced, so that it keeps the keyboard's focus; a drawer's widgets are made
when it opens and end when it closes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import msgspec
from ipywidgets import HTML, Box, Button, ButtonStyle, Dropdown, HBox, Layout, VBox

from nbray.events import Snapshot
from nbray.jupyter.panel.actions import Errands, State
from nbray.view.controls import hint_html, join_html, leavers, note_html
from nbray.view.panel_details import KINDS

OPENERS = {
    "stop": ("Stop a node", "Close", "Choose a node that is to leave the cluster"),
    "join": (
        "Join line", "Hide join line", "Show the line by which another machine joins, to copy it",
    ),
    **{
        name: (kind.title, f"Hide {kind.title.lower()}", kind.tip) for name, kind in KINDS.items()
    },
}  # fmt: skip
"""What opens a drawer: its label, its label while the drawer is open, its tip."""


class Seen(msgspec.Struct, frozen=True):
    """What the controls show at one moment."""

    snapshot: Snapshot = Snapshot()
    state: State = State()
    removable: int = 0
    """Nodes on this machine that can be taken away."""
    mine: str = ""
    """The node that this process is attached to."""
    nodes: str = ""
    """Why no node can be added or leave ('': they can); the buttons' tips say so."""
    inside: dict[str, str] = {}
    """HTML of what is open, by its kind."""


class Controls:
    """Those of one panel; *opened* is called when a drawer has been opened or closed.

    *lock* is held by whoever calls `show`, and while a drawer opens or closes.
    """

    def __init__(
        self, errands: Errands, opened: Callable[[], None], lock: AbstractContextManager[Any]
    ) -> None:
        self._errands = errands
        self._opened = opened
        self._lock = lock
        self._seen = Seen()
        self._layout = Layout(width="auto", margin="2px 6px 4px 1px")
        self._style = ButtonStyle()
        self._less = self._button(
            "− Node", "Take away the node on this machine that was added last", errands.remove
        )
        self._more = self._button("+ Node", "Add a node on this machine, with one CPU", errands.add)
        self._openers = {
            name: self._button(label, tip, partial(self._toggle, name))
            for name, (label, _, tip) in OPENERS.items()
        }
        # Few notebooks have any: who has none need not read of them.
        self._openers["groups"].layout = Layout(width="auto", margin="2px 6px 4px 1px")
        self._openers["groups"].layout.display = "none"
        self._note = HTML(layout=Layout(display="none", margin="0"))
        self._drawer = VBox(layout=Layout(margin="0", width="100%"))
        self._bar = HBox(
            [self._less, self._more, *self._openers.values()],
            layout=Layout(flex_flow="row wrap", margin="4px 0 0"),
        )
        self._choice: Dropdown | None = None
        self._text: HTML | None = None
        self.open = ""
        """Which drawer is open ('' for none)."""

    @property
    def children(self) -> tuple[Any, ...]:
        """What goes under the panel's table."""
        return (self._bar, self._note, self._drawer)

    def _button(self, label: str, tip: str, act: Callable[[], None]) -> Button:
        made = Button(description=label, tooltip=tip, layout=self._layout, style=self._style)
        made.on_click(lambda _button: act())
        return made

    # -- showing ------------------------------------------------------------------

    def show(self, seen: Seen) -> None:
        """Move to *seen*; what has not changed sends nothing."""
        self._seen = seen
        busy = bool(seen.state.busy)
        self._more.disabled = busy or bool(seen.nodes)
        self._less.disabled = busy or not seen.removable
        self._openers["stop"].disabled = bool(seen.nodes)
        if seen.nodes and self._more.tooltip != seen.nodes:
            for one in (self._more, self._less, self._openers["stop"]):
                one.tooltip = seen.nodes
        groups = self._openers["groups"].layout
        shown = None if seen.snapshot.groups or self.open == "groups" else "none"
        if groups.display != shown:
            groups.display = shown
        note = note_html(seen.state.error or seen.state.busy, bad=bool(seen.state.error))
        if self._note.value != note:
            self._note.value = note
            self._note.layout.display = None if note else "none"
        if self.open == "stop":
            self._show_stop(busy)
        elif self._text is not None:
            self._text.value = self._drawn()

    def _drawn(self) -> str:
        if self.open == "join":
            line = self._seen.state.join
            return join_html(line) if line else ""
        return self._seen.inside.get(self.open, "")

    def _show_stop(self, busy: bool) -> None:
        choice, text = self._choice, self._text
        if choice is None or text is None:
            return
        options = leavers(self._seen.snapshot, self._seen.mine)
        if tuple(choice.options) != options:
            numbers = [number for _, number in options]
            kept = choice.value if choice.value in numbers else next(iter(numbers), None)
            choice.options = options
            # Always said: the page shows the first of options that were none before, but no
            # value comes with them.
            choice.value = kept
        row = self._drawer.children[0]
        row.layout.display = None if options else "none"  # nothing to choose: only why
        for one in row.children:
            one.disabled = busy or not options
        text.value = hint_html(self._seen.snapshot, choice.value)

    # -- drawers ------------------------------------------------------------------

    def _toggle(self, name: str) -> None:
        with self._lock:
            self._turn(name)
        self._opened()

    def _turn(self, name: str) -> None:
        if self.open == "join":
            self._errands.hide()
        opening = name if name != self.open else ""
        self._close()
        self.open = opening
        if opening:
            self._openers[name].description = OPENERS[name][1]
            self._drawer.children = self._made(name)
        if opening == "join":
            self._errands.join()

    def _made(self, name: str) -> tuple[Any, ...]:
        self._text = HTML(layout=Layout(width="100%", margin="0"))
        if name != "stop":
            return (self._text,)
        options = leavers(self._seen.snapshot, self._seen.mine)
        self._choice = Dropdown(
            options=options,
            layout=Layout(width="auto", margin="2px 6px 4px 1px"),
            tooltip="The node that is to leave",
        )
        self._choice.observe(self._chosen, "value")
        buttons = (
            self._button("Stop gently", "It leaves when its tasks have ended", self._end(True)),
            self._button("Stop at once", "Its tasks run again elsewhere", self._end(False)),
        )
        row = HBox([self._choice, *buttons], layout=Layout(flex_flow="row wrap", margin="0"))
        return (row, self._text)

    def _chosen(self, _change: Any) -> None:
        with self._lock:
            self.show(self._seen)

    def _end(self, gently: bool) -> Callable[[], None]:
        def act() -> None:
            if self._choice is not None and self._choice.value is not None:
                self._errands.end(self._choice.value, gently)

        return act

    def _close(self) -> None:
        """Close what is open, and end its widgets."""
        if self.open:
            self._openers[self.open].description = OPENERS[self.open][0]
        self.open = ""
        old = self._drawer.children
        self._drawer.children = ()
        self._choice = self._text = None
        for one in old:
            end(one, keep=(self._layout, self._style))

    def close(self) -> None:
        """End all widgets."""
        self._close()
        for one in self.children:
            end(one)


def end(widget: Any, keep: tuple[Any, ...] = ()) -> None:
    """Close a widget with all it consists of, but for *keep*."""
    if isinstance(widget, Box):
        for child in widget.children:
            end(child, keep)
    for part in (widget.layout, getattr(widget, "style", None), widget):
        if part is not None and part not in keep:
            part.close()
