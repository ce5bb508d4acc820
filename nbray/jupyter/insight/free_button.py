"""The button under `%nbray memory` that lets go of what only history holds.

Owns the one button that can be pressed: its display and its end. Does not own
what is let go of (`pins`) nor the table (`holdings`). Rule: there is one button
at a time, under the table shown last, and it goes when it is pressed or another
cell runs, so that what a notebook saves is the table alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.cells.live import Live
from nbray.jupyter.notebook import Notebook

EMPTY = '<div class="nbray"></div>'
"""What stands for the button where its kernel is gone: nothing, of nbray's (see the sidebar's
`saved.ts`)."""


class FreeButton:
    """Where `%nbray memory` puts its button."""

    def __init__(self, make: Callable[[str], Any] | None = None) -> None:
        self._make = make or _widget
        self._live: Live | None = None

    def show(self, cells: Cells, cell: str, label: str, press: Callable[[], None]) -> None:
        """A button called *label* under *cell*; *press* runs once, and the button is gone."""
        self.end()

        def pressed(_button: Any) -> None:
            if self._live is live:  # a second click may be on its way
                self.end()
                press()

        def make(_html: str) -> Any:
            made = self._make(label)
            made.on_click(pressed)
            return made

        live = self._live = Live(cells, cell, make)
        live.show(EMPTY, "")

    def end(self, *_: object) -> None:
        """Take the button away (before any cell runs: what the table says is the past then)."""
        live, self._live = self._live, None
        if live is not None:
            live.rest("", "")


def _widget(label: str) -> Any:
    from ipywidgets import Button, Layout

    return Button(
        description=label,
        tooltip="Let go of what only Out[] and the last traceback hold, as %nbray free does",
        layout=Layout(width="auto", margin="2px 0 4px 0"),
    )


def free_button(_notebook: Notebook) -> FreeButton:
    """The part of a notebook (see `Notebook.part`)."""
    return FreeButton()
