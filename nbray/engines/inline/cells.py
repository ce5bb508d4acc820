"""The work of the inline engine by cell: counted, and cancelled where it can be unfinished."""

from __future__ import annotations

from collections.abc import Callable

from nbray.engines.inline.actors import InlineActors
from nbray.engines.inline.output import Outputs
from nbray.engines.inline.tally import Tally
from nbray.events import CellView, Display, Output


class InlineCells:
    """Of one session. See `nbray.engine.Cells` for the methods."""

    def __init__(self, tally: Tally, outputs: Outputs, actors: InlineActors) -> None:
        self._tally = tally
        self._outputs = outputs
        self._actors = actors

    def cancel(self, cell: str, force: bool) -> int:
        found = [
            (actor, call)
            for actor in list(self._actors.all.values())
            for call in actor.awaiting(cell)
        ]
        for actor, call in found:
            actor.cancel(call)
        return len(found)

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:
        self._tally.add(cell, submitted, done, failed, cancelled)

    def unfinished(self, cell: str) -> int:
        view = self._tally.cells().get(cell)
        return view.submitted - view.done - view.failed if view is not None else 0

    def view(self, cell: str) -> CellView | None:
        return self._tally.cells().get(cell)

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        self._outputs.sink = sink
