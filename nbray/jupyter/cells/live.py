"""One display in a notebook: a widget while it moves, plain HTML when it rests.

Owns the widget's life and the display's identity. Does not own what is shown
or when. Rule: whatever a front end saves holds HTML and text, and at rest
nothing else, so that it is seen without scripts, widgets or a kernel.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from nbray.jupyter.cells.audience import audience
from nbray.jupyter.cells.cells import Cells

VIEW = "application/vnd.jupyter.widget-view+json"


class Live:
    """A display under *cell*; *make* gives the `ipywidgets.HTML` it lives in.

    Where widgets have no way to a front end, or nobody to move for, the display
    itself is replaced.
    """

    def __init__(self, cells: Cells, cell: str, make: Callable[[str], Any]) -> None:
        self._cells = cells
        self._cell = cell
        self._make = make
        self._id = uuid.uuid4().hex
        self._shown = False
        self._moving = False
        self._widget: Any = None

    @property
    def shown(self) -> bool:
        """Whether it was ever shown."""
        return self._shown

    @property
    def moving(self) -> bool:
        """Whether it was shown and does not rest."""
        return self._moving

    def anew(self) -> None:
        """The cell has cleared it away: the next `show` is in another place."""
        self._id = uuid.uuid4().hex
        self._shown = self._moving = False

    def show(self, html: str, text: str) -> None:
        """Show *html*; at the first time, and after a rest, the display as a whole."""
        if self._moving and self._widget is not None:
            if self._widget.value != html:
                self._widget.value = html
            return
        if self._widget is not None:
            self._widget.value = html
        elif audience(self._cells.kernel).widgets:
            widget = self._make(html)
            self._widget = widget if getattr(widget, "comm", None) is not None else None
        self._moving = True
        self.save(html, text)

    def save(self, html: str, text: str) -> None:
        """Renew what a save of the notebook would hold; a moving widget stays."""
        data: dict[str, Any] = {"text/html": html, "text/plain": text}
        if self._moving and self._widget is not None:
            data[VIEW] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self._widget.model_id,
            }
        self._cells.display(self._cell, data, display_id=self._id, update=self._shown)
        self._shown = True

    def rest(self, html: str, text: str, close: bool = True) -> None:
        """Leave HTML and text only; *close* ends the widget as well."""
        self._moving = False
        self.save(html, text)
        if close and self._widget is not None:
            widget, self._widget = self._widget, None
            for part in (widget, widget.layout, widget.style):
                part.close()


def html_widget(html: str) -> Any:
    """A core `ipywidgets.HTML` as wide as the output."""
    from ipywidgets import HTML, Layout

    return HTML(value=html, layout=Layout(width="100%", margin="0"))
