"""What a node tells the head of itself: its figures, and what is free.

Owns the figures last heard, what workers that are gone had done, and when the next report is due.
Does not own the machine's figures (the shell's). Rule: what is free is told when it changes, but
not more often than every `LOAD_PAUSE`.
"""

from __future__ import annotations

import msgspec

from nbray.events import Figures
from nbray.ids import HEAD
from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.bundles import Bundles
from nbray.runtime.core.node.scheduling.leases import Leases, Ledger
from nbray.runtime.core.node.scheduling.workers import Worker, WorkerPool
from nbray.runtime.core.node.store.storage import Storage
from nbray.runtime.core.node.store.transfers import Transfers
from nbray.wire.messages import Load

LOAD_PAUSE = 0.02
"""Seconds between two reports of free resources to the head."""


class Reports:
    """Those of one node."""

    def __init__(
        self, me: int, ledger: Ledger, pool: WorkerPool, leases: Leases, storage: Storage,
        transfers: Transfers, bundles: Bundles,
    ) -> None:  # fmt: skip
        self._me = me
        self._ledger = ledger
        self._pool = pool
        self._leases = leases
        self._storage = storage
        self._transfers = transfers
        self._bundles = bundles
        self.due: float | None = None
        """When the next report is to be sent."""
        self._sent = float("-inf")
        self._figures = Figures()
        self._finished = 0
        self._failed = 0
        """What workers that are gone had done."""

    def gone(self, worker: Worker) -> None:
        """A worker is gone; what it has done counts for ever."""
        if worker.worked is not None:
            self._finished += worker.worked.finished
            self._failed += worker.worked.failed

    def noted(self, figures: Figures) -> Figures:
        """Fresh figures of the machine, with what the node knows."""
        store = self._storage.books
        queued = sum(w.unmet for w in self._leases.wants.values() if not w.asker and not w.held)
        done = [worker.worked for worker in self._pool if worker.worked is not None]
        moving, source = self._transfers.moving()
        self._figures = msgspec.structs.replace(
            figures,
            workers=len(self._pool),
            running=sum(worked.running for worked in done),
            finished=self._finished + sum(worked.finished for worked in done),
            failed=self._failed + sum(worked.failed for worked in done),
            queued=queued,
            store_used=store.used,
            store_total=store.capacity,
            disk_used=0 if store.disk is None else store.disk.used,
            trouble=figures.trouble or self._storage.spilling.trouble,
            moving=moving,
            moving_from=source,
        )
        return self._figures

    def step(self, now: float, leaving: bool) -> list[NodeEffect]:
        """After a step of the node: the report that is due, if one is."""
        if self._ledger.changed or (self.due is not None and now >= self.due):
            if now >= self._sent + LOAD_PAUSE:
                return [self.load(now, leaving)]
            if self.due is None:
                self.due = self._sent + LOAD_PAUSE
        return []

    def load(self, now: float, leaving: bool) -> NodeEffect:
        """The report, now."""
        self._sent = now
        self.due = None
        self._ledger.changed = False
        bundles = self._bundles.names() if self._bundles.active else {}
        return Send(HEAD, Load(self._me, dict(self._ledger.free), self._figures, leaving, bundles))
