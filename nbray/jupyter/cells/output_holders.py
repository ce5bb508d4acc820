"""What holds a cell's output, so that it is not shown under the cell.

`%%capture`, `capture_output()`, `redirect_stdout`, a stream that the user has put in
the place of `sys.stdout`, and ipywidgets' `Output`. Owns the question who holds what;
does not own the sending. Rules: only the running cell's output is held, whoever else
prints meanwhile; and it is asked when the output comes, as with the cell's own prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Protocol


class Follows(Protocol):
    """What is asked about the cells."""

    @property
    def shell(self) -> Any:
        """The IPython shell, or None."""

    @property
    def kernel(self) -> Any:
        """The kernel behind it, or None."""

    def running(self) -> str:
        """The innermost cell that runs ('' if none does)."""


class OutputHolders:
    """Asks a process's streams, shell and widgets."""

    def __init__(self, cells: Follows) -> None:
        self._cells = cells
        self._seen: tuple[int, Any] = (0, None)
        self._boxes: list[Any] = []

    def stream(self, cell: str, name: str) -> Any:
        """The stream that stands in the place of the kernel's own *name* for *cell*, or None."""
        if not self._asks(cell):
            return None
        module = sys.modules.get("ipykernel.iostream")
        out = getattr(sys, name, None)
        own = module is None or out is None or isinstance(out, module.OutStream)
        return None if own else out

    def publisher(self, cell: str) -> Any:
        """IPython's publisher that keeps what *cell* displays, or None."""
        if not self._asks(cell):
            return None
        module = sys.modules.get("IPython.core.displaypub")
        found = getattr(self._cells.shell, "display_pub", None)
        keeps = module is not None and isinstance(found, module.CapturingDisplayPublisher)
        return found if keeps else None

    def box(self, cell: str) -> str:
        """The message whose outputs an open `Output` takes, if that is *cell*'s ('' if none).

        For work of no cell it is the message that came with a click (`interact`).
        """
        if not self._asks(cell):
            return ""
        for box in reversed(self._outputs()):
            if box.msg_id and (not cell or box.msg_id == cell):
                return str(box.msg_id)
        return ""

    def displays(self, cell: str) -> bool:
        """Whether what *cell* displays does not come under it."""
        return self.publisher(cell) is not None or bool(self.box(cell))

    def _asks(self, cell: str) -> bool:
        base = sys.modules.get("ipykernel.kernelbase")
        if base is None or not isinstance(self._cells.kernel, base.Kernel):
            return False
        return not cell or cell == self._cells.running()

    def _outputs(self) -> list[Any]:
        """The process's Output widgets, looked for again when there are others than before."""
        module = sys.modules.get("ipywidgets.widgets.widget_output")
        if module is None:
            return []
        known = _widgets()
        try:
            seen = (len(known), next(reversed(known), None))
            if seen != self._seen:
                kind = module.Output
                self._boxes = [one for one in list(known.values()) if isinstance(one, kind)]
                self._seen = seen
        except RuntimeError:  # one was made this very moment, by another thread
            pass
        return self._boxes


def _widgets() -> dict[str, Any]:
    """The live widgets by their models' identities, as ipywidgets 7 and 8 keep them."""
    module = sys.modules["ipywidgets.widgets.widget"]
    known: dict[str, Any] | None = getattr(module, "_instances", None)
    if known is None:
        known = dict(module.Widget.widgets)
    return known


def write(out: Any, text: str) -> bool:
    """Write *text* to a stream of the user's; whether it took it."""
    try:
        out.write(text)
    except Exception:  # noqa: BLE001 - closed, of bytes, no stream at all: users' raise what they like
        return False
    return True


def captured(raw_cell: Iterable[str]) -> bool:
    """Whether a cell of these lines keeps all its output to itself."""
    for line in raw_cell:
        words = line.split()
        if words and not words[0].startswith("#"):
            return words[0] == "%%capture" and "--no-display" not in words
    return False
