"""What screens show of the inline engine: one node, and the counts of cells."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

import msgspec

from nbray import session
from nbray.details import (
    OBJECTS,
    CellRecord,
    Details,
    HoldingRecord,
    ObjectRecord,
    ProcessRecord,
    TaskRecord,
)
from nbray.engines.inline.actors import InlineActors
from nbray.engines.inline.cluster import ADDRESS, InlineCluster
from nbray.engines.inline.objects import Objects
from nbray.engines.inline.tally import Tally
from nbray.events import Figures, NodeView, Snapshot
from nbray.ids import FIRST_NODE


class InlineInsight:
    """Of one session. See `nbray.engine.Insight` for the methods."""

    def __init__(
        self, owner: int, name: str, cluster: InlineCluster, objects: Objects, tally: Tally,
        actors: InlineActors, tasks: Sequence[TaskRecord],
    ) -> None:  # fmt: skip
        self._owner = owner
        self._name = name
        self._cluster = cluster
        self._objects = objects
        self._tally = tally
        self._actors = actors
        self._tasks = tasks
        self._began = time.monotonic()

    def snapshot(self) -> Snapshot:
        total = self._cluster.resources()
        running_now, done, failed = self._tally.totals()
        figures = Figures(
            workers=1,
            running=running_now,
            finished=done,
            failed=failed,
            store_used=self._objects.used,
            store_total=int(total["object_store_memory"]),
            memory_total=int(total["memory"]),
            uptime=time.monotonic() - self._began,
        )
        node = NodeView(
            number=FIRST_NODE,
            node_id=self._cluster.node_id(),
            name=self._cluster.host,
            address=ADDRESS,
            is_head=True,
            resources=total,
            available=self._cluster.available(),
            figures=figures,
        )
        alive = sum(actor.death is None for actor in list(self._actors.all.values()))
        groups = sum(one.state != "REMOVED" for one in self._cluster.groups.find())
        return Snapshot((node,), self._tally.cells(), self._name, "", alive, groups)

    def details(self, wanted: int) -> Details:
        """See the protocol; tasks have ended when `remote` returns, so only cells are told."""
        cells = [
            CellRecord(self._owner, view, session.cell_label(cell))
            for cell, view in self._tally.cells().items()
        ]
        groups = tuple(reversed(self._cluster.groups.find()))
        return Details(cells=tuple(cells), groups=groups, now=time.monotonic())

    def complete(self, wanted: int, timeout: float) -> Details:
        """See the protocol; tasks that have ended are remembered for this alone."""
        rows = self._objects.rows() if wanted & OBJECTS else ()
        objects = [
            ObjectRecord(self._owner, seq, state, size, [FIRST_NODE], held, 0)
            for seq, state, size, held, _ in rows
        ]
        return msgspec.structs.replace(
            self.details(wanted),
            tasks=tuple(reversed(self._tasks)),
            actors=tuple(self._actors.records()),
            objects=tuple(objects),
            object_count=len(objects),
            processes=(
                ProcessRecord(self._owner, os.getpid(), True, program=" ".join(sys.orig_argv)),
            ),
            me=self._owner,
            wall=time.time(),
        )

    def holdings(self) -> list[HoldingRecord]:
        """See the protocol; no task outlives the call that makes it, so none holds anything."""
        return [
            HoldingRecord(ObjectRecord(self._owner, seq, state, size, [1], held, 0), [], inside)
            for seq, state, size, held, inside in self._objects.rows()
        ]
