"""A node that leaves gently: it takes nothing new, and goes when what runs has ended.

Owns the wish, and the moment at which it can be granted. Does not own the
leaving itself (`brain`), nor that others ask this node for nothing any more
(the head tells them, see `NodeInfo.leaving`). Rule: every lease is asked back
once; its client lets what runs there end, and gives it back. Actors are not
moved: the node waits for a moment in which none of them works.
"""

from __future__ import annotations

from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.leases import Leases
from nbray.runtime.core.node.scheduling.scheduler import Scheduler
from nbray.runtime.core.node.scheduling.workers import WorkerPool
from nbray.wire.messages import Reclaim


class Drain:
    """The leaving of one node. `me` is the node's client id."""

    def __init__(self, me: int, leases: Leases, scheduler: Scheduler, pool: WorkerPool) -> None:
        self._me = me
        self._leases = leases
        self._scheduler = scheduler
        self._pool = pool
        self.on = False

    def begin(self) -> None:
        """From now on nothing new is taken. Idempotent."""
        self.on = True
        self._scheduler.closed = True

    def step(self, now: float) -> list[NodeEffect]:
        """Ask back what has not been asked back yet."""
        out: list[NodeEffect] = []
        for lease in self._leases:
            if lease.told and not lease.reclaimed:
                lease.reclaimed = now
                out.append(Send(lease.key[0], Reclaim(self._me, lease.number)))
        return out

    @property
    def done(self) -> bool:
        """Whether the node may go: nobody has a lease, no actor works, nobody here wants work."""
        if not self.on or self._leases.leases:
            return False
        if any(want.count and not want.asker for want in self._leases.wants.values()):
            return False
        return not any(worker.worked is not None and worker.worked.running for worker in self._pool)
