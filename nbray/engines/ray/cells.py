"""The work of this process by cell: counted as it is submitted, and cancelled by Ray's own means.

Owns which unfinished references a cell has. Rule: it keeps no reference alive.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import msgspec
import ray

from nbray.engines.ray.references import Held
from nbray.events import CellView, Display, NodeCounts, Output
from nbray.refs import ObjectRef


class RayCells:
    """Of one process. See `nbray.engine.Cells` for the methods."""

    def __init__(self) -> None:
        self.views: dict[str, CellView] = {}
        self._flying: dict[str, WeakSet[Held]] = {}
        self.sink: Callable[[Output | Display], None] | None = None

    def note(self, cell: str, refs: Sequence[ObjectRef[Any]]) -> None:
        """*cell* has submitted what makes *refs*."""
        view = self.views.get(cell)
        now = time.monotonic()
        if view is None:
            view = CellView(cell=cell, started=now)
            self._flying[cell] = WeakSet()
        self.views[cell] = msgspec.structs.replace(
            view, submitted=view.submitted + 1, updated=now
        )
        if refs and isinstance(refs[0]._drop, Held):
            self._flying[cell].add(refs[0]._drop)

    def _left(self, cell: str) -> list[Any]:
        """Ray's references of *cell* that are not ready."""
        flying = self._flying.get(cell)
        have = {held.ray: held for held in list(flying or ())}
        if not have or not ray.is_initialized():
            return []
        done, left = ray.wait(list(have), num_returns=len(have), timeout=0, fetch_local=False)
        for one in done:
            assert flying is not None
            flying.discard(have[one])
        return list(left)

    def cancel(self, cell: str, force: bool) -> int:
        left = self._left(cell)
        for one in left:
            with contextlib.suppress(ValueError, TypeError):  # an actor's call knows no force
                ray.cancel(one, force=force, recursive=True)
        return len(left)

    def unfinished(self, cell: str) -> int:
        return len(self._left(cell))

    def view(self, cell: str) -> CellView | None:
        return self.views.get(cell)

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:  # fmt: skip
        now = time.monotonic()
        view = self.views.get(cell) or CellView(cell=cell, started=now)
        counts = NodeCounts(node, "", done=done, failed=failed, cancelled=cancelled)
        self.views[cell] = msgspec.structs.replace(
            view, submitted=view.submitted + submitted, updated=now, nodes=(*view.nodes, counts)
        )

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        self.sink = sink
