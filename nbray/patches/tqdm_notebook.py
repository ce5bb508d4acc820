"""tqdm's bars of widgets, drawn as text where no widget would move.

`from tqdm.notebook import tqdm` in a notebook's cell travels to tasks by its name; there, its
bars would stay as they were first shown. Owns the class's methods. Does not own what is printed
(`output` takes it as it takes every bar). Rule: only who has shown such a bar is changed; before,
tqdm is not even imported.
"""

from __future__ import annotations

from typing import Any

from nbray.patches import Replaced

MODULE = "tqdm.notebook"
_PLAIN = ("__iter__", "update", "close", "clear", "reset")
"""Methods that are taken from the bars of text as they are."""


class TextBars:
    """tqdm's own bars of text in the place of those of widgets, the class *bars*."""

    def __init__(self, bars: Any) -> None:
        self._text = text = bars.__mro__[1]
        self._replaced = [(Replaced(bars, name), getattr(text, name)) for name in _PLAIN]
        self._replaced += [
            (Replaced(bars, "status_printer"), staticmethod(text.status_printer)),
            (Replaced(bars, "colour"), None),  # a property of its widget
            (Replaced(bars, "__init__"), self._made()),
            (Replaced(bars, "display"), self._shown()),
        ]

    def install(self) -> None:
        """From the next bar on."""
        for one, new in self._replaced:
            one.put(new)

    def uninstall(self) -> None:
        """No longer."""
        for one, _ in self._replaced:
            one.take_back()

    def go_on(self, bar: Any) -> None:
        """*bar*, which is just being made, is one of text, too."""
        bar.gui = False
        bar.ncols = None
        bar.sp = self._text.status_printer(bar.fp)

    def _made(self) -> Any:
        begin = self._text.__init__

        def __init__(bar: Any, *args: Any, **options: Any) -> None:  # noqa: N807
            options.pop("display", None)
            if isinstance(options.get("ncols"), str):  # CSS
                options.pop("ncols")
            begin(bar, *args, **options)

        return __init__

    def _shown(self) -> Any:
        show = self._text.display

        def display(bar: Any, msg: str | None = None, pos: int | None = None, **_: Any) -> Any:
            return show(bar, msg, pos)

        return display


def as_text(container: Any) -> bool:
    """The widget of one of these bars is about to be shown: whether it is drawn as text instead."""
    bar = getattr(container, "pbar", None)
    if bar is None:
        return False
    text = TextBars(bar.__class__)
    text.install()
    text.go_on(bar)
    return True
