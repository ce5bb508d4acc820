"""A native client's work by cell: what is left of it, what screens count, how it is stopped.

Owns which tasks a cell's cancelling has asked to end. Does not own the counts
(`core.client.tally`), nor how output becomes events (`delivery`).
"""

from __future__ import annotations

from collections.abc import Callable

from nbray.events import CellView, Display, Output
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import ClientEffect
from nbray.runtime.shell.client.delivery import Delivery
from nbray.runtime.shell.client.loop import Loop


class NativeCells:
    """Of one client. See `nbray.engine.Cells` for the methods."""

    def __init__(self, brain: ClientBrain, loop: Loop, delivery: Delivery) -> None:
        self._brain = brain
        self._loop = loop
        self._delivery = delivery
        self._asked: dict[str, set[int]] = {}
        """What `cancel` has asked to end, by cell, until it is forced."""

    def cancel(self, cell: str, force: bool) -> int:
        """Cancel a cell's unfinished work (see `Cells.cancel`)."""
        count = 0

        def act() -> list[ClientEffect]:
            nonlocal count
            effects = self._brain.pump(self._loop.now())
            tasks = self._brain.unfinished(cell)
            asked = self._asked.pop(cell, None)
            if not force:
                self._asked[cell] = {task.seq for task in tasks}
            elif asked is not None:  # what was launched since then was not meant
                tasks = [task for task in tasks if task.seq in asked]
            count = len(tasks)
            return effects + self._brain.cancel(tasks, force, True, self._loop.now())

        self._loop.locked(act)
        return count

    def unfinished(self, cell: str) -> int:
        """Tasks of a cell that have not ended (see `Cells.unfinished`)."""
        tally = self._brain.tallies.get(cell)
        return tally.left if tally is not None else 0

    def view(self, cell: str) -> CellView | None:
        """A cell's work as counted here (see `Cells.view`)."""
        return self._brain.cells(self._loop.now()).get(cell)

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        """Where prints go (see `Cells.on_output`)."""
        self._delivery.sink = sink

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:
        """Count for tasks that do not (see `Cells.count`)."""
        tally = self._brain.tally
        now = self._loop.now()
        self._loop.locked(lambda: tally(cell, now).add(submitted, node, done, failed, cancelled))
