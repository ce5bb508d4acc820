"""The work of this process by cell: counted, followed and stopped.

In a driver, and in an actor that hears what its own tasks print, there is a desk (`desk`), which
keeps the books. Other workers tell the desk on whose behalf they work (`telling`).
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref as weakly

import msgspec

from nbray.engines.ray.bracket import running
from nbray.engines.ray.cluster import RayCluster
from nbray.engines.ray.desk import Desk
from nbray.engines.ray.foreign import plus
from nbray.engines.ray.foreign_desk import ForeignDesk
from nbray.engines.ray.heads import Head
from nbray.engines.ray.references import Held
from nbray.events import CellView, Display, NodeCounts, Output
from nbray.refs import ObjectRef


class RayCells:
    """Of one process. See `nbray.engine.Cells` for the methods."""

    def __init__(self, cluster: RayCluster, worker: bool) -> None:
        self._cluster = cluster
        self._worker = worker
        self._numbers = itertools.count(secrets.randbits(39) << 24)
        self._lock = threading.Lock()
        self.desk: Desk | None = None
        self.foreign = None if worker else ForeignDesk(cluster)
        """What others submit; in drivers."""
        if self.foreign is not None:
            self.foreign.begin()

    def number(self) -> int:
        """That of the next call that is submitted here: no other has it."""
        return next(self._numbers)

    def box(self) -> str:
        """The mailbox of whoever hears of what is submitted here ('': nobody)."""
        desk = self.desk
        if desk is None and not self._worker:
            desk = self._open()
        if desk is not None:
            return desk.box
        head = running.get()
        return head.box if head is not None else ""

    def _open(self) -> Desk:
        with self._lock:
            if self.desk is None:
                desk = Desk(self._cluster)
                desk.begin()
                self.desk = desk
            return self.desk

    def launched(self, head: Head, refs: Sequence[ObjectRef[Any]]) -> None:
        """The call of *head* was submitted; *refs* are its returns."""
        desk = self.desk
        held = refs[0]._drop if refs else None
        if desk is None:
            from nbray.engines.ray.telling import outbox

            outbox.launched(head, held if isinstance(held, Held) else None)
            return
        with desk.lock:
            desk.ledger.submitted(
                head.cell, head.number, head.name, head.counted, time.monotonic(),
                *((weakly(held),) if isinstance(held, Held) else ()),
            )  # fmt: skip

    def cancel(self, cell: str, force: bool) -> int:
        others = self.foreign.cancel(cell, force) if self.foreign is not None else 0
        return others + (self.desk.cancel(cell, force) if self.desk is not None else 0)

    def unfinished(self, cell: str) -> int:
        desk, others = self.desk, self.foreign.unfinished(cell) if self.foreign is not None else 0
        if desk is None:
            return others
        with desk.lock:
            return desk.ledger.unfinished(cell) + others

    def view(self, cell: str) -> CellView | None:
        own = self.desk.view(cell) if self.desk is not None else None
        return merged(own, self.foreign.view(cell) if self.foreign is not None else None)

    def views(self) -> dict[str, CellView]:
        """The counts of all cells."""
        found = self.desk.views() if self.desk is not None else {}
        others = self.foreign.views() if self.foreign is not None else {}
        for cell, view in others.items():
            found[cell] = merged(found.get(cell), view) or view
        return found

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:  # fmt: skip
        desk = self.desk if self._worker else self._open()
        if desk is None:
            return
        with desk.lock:
            desk.ledger.count(
                cell, submitted, self._cluster.id(node), done, failed, cancelled, time.monotonic()
            )

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        if sink is None and self.desk is None:
            return
        desk = self.desk or self._open()
        desk.sink = sink
        if sink is not None:
            desk.guard()

    def end(self) -> None:
        """The cluster is left, or has ended."""
        if self.foreign is not None:
            self.foreign.end()
        if self.desk is not None:
            self.desk.end()


def merged(own: CellView | None, others: CellView | None) -> CellView | None:
    """The counts of what the engine submitted for a cell, and of what others did."""
    if own is None or others is None or not own.submitted:
        return others or own
    nodes: dict[int, NodeCounts] = {}
    for one in (*own.nodes, *others.nodes):
        nodes[one.number] = plus(nodes.get(one.number), one)
    longer = max(own, others, key=lambda view: view.longest)
    begun = [view.began for view in (own, others) if view.began]
    return msgspec.structs.replace(
        own, submitted=own.submitted + others.submitted, nodes=tuple(nodes.values()),
        rows=others.rows, started=min(own.started, others.started),
        updated=max(own.updated, others.updated), cancelled=own.cancelled + others.cancelled,
        lost=own.lost + others.lost, measured=own.measured + others.measured,
        longest=longer.longest, longest_node=longer.longest_node, longest_end=longer.longest_end,
        workers=own.workers + others.workers, began=min(begun, default=0.0),
        cpus=max(own.cpus, others.cpus), oldest=max(own.oldest, others.oldest),
    )  # fmt: skip
