"""The actors that live on one node: waiting for room, starting, up, ended.

Owns the incarnations placed here and what they hold for life. Does not own
restarts, names or placement: the head does. Rule: of every incarnation that
was asked for, the head hears exactly one end (`ActorDown`), also where it asked
for that itself: only then is nothing read any more that was for it.
"""

from __future__ import annotations

from nbray.ids import HEAD, OWN_NAMESPACE
from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.leases import Holding, Ledger
from nbray.runtime.core.node.scheduling.scheduler import Hunger, Scheduler
from nbray.runtime.core.node.scheduling.workers import State, Worker, WorkerPool
from nbray.runtime.core.placement import describe, fits
from nbray.wire.messages import (
    ActorDown,
    ActorSpec,
    ActorUp,
    ActorWaits,
    BecomeActor,
    StartActor,
    StopActor,
)

ActorKey = tuple[int, int, int]
"""(owner, actor, incarnation)."""


class Resident:
    """One incarnation placed on this node."""

    __slots__ = ("holding", "incarnation", "passed", "spec", "told")

    def __init__(self, spec: ActorSpec, incarnation: int) -> None:
        self.spec = spec
        self.incarnation = incarnation
        self.holding: Holding | None = None
        self.told = ""
        """Why it has not been started, as its owner was told."""
        self.passed = 0.0
        """Since when it has been passed over (0: not yet)."""

    @property
    def key(self) -> ActorKey:
        """Its identity."""
        return (self.spec.owner, self.spec.actor, self.incarnation)


class Residents:
    """All actors of one node. `me` is the node's client id."""

    def __init__(self, me: int, ledger: Ledger, pool: WorkerPool, scheduler: Scheduler) -> None:
        self._me = me
        self._ledger = ledger
        self._pool = pool
        self._scheduler = scheduler
        self._all: dict[ActorKey, Resident] = {}
        self._queue: list[Resident] = []
        self.by_worker: dict[int, Resident] = {}
        self.stuck = ""
        """Why there was no process for somebody although his resources were free."""

    def holdings(self) -> list[Holding]:
        """What the actors hold, for `check`."""
        return [r.holding for r in self._all.values() if r.holding is not None]

    def kept(self) -> bool:
        """Whether there is an actor that somebody may come back for."""
        return any(
            one.holding is not None and one.spec.namespace != OWN_NAMESPACE
            for one in self._all.values()
        )

    def start(self, message: StartActor) -> list[NodeEffect]:
        """The head placed an incarnation here; it starts when there is room."""
        resident = Resident(message.spec, message.incarnation)
        if resident.key in self._all:
            return []
        if not fits(message.spec.resources, self._ledger.total):
            return [
                self._down(resident, f"the node has no {describe(message.spec.resources)}", True)
            ]
        self._all[resident.key] = resident
        self._queue.append(resident)
        return []

    def place(self, now: float, out: list[NodeEffect], room: bool = True) -> list[Hunger]:
        """Start whom there is room for, first come first served; who is left.

        Who needs nothing for life waits for nobody, and nobody for an actor whose place others
        have for life. Without *room*, others come first.
        """
        if not self._queue:
            self.stuck = ""
            return []
        starved: list[Hunger] = []
        kept = self._scheduler.kept(now)
        waiting = self._queue
        self._queue = []
        self.stuck = ""
        for resident in waiting:
            need = resident.spec.resources
            turn = (room and not self.stuck) or not any(need.values())
            left = kept.leaves(need, self._ledger.free)
            if turn and left and self._settle(resident, now, out):
                kept.taken(need)
                continue
            resident.passed = resident.passed or now
            since = None if self.stuck else resident.passed
            kept.keep(need, since)
            if bool(self.stuck) != bool(resident.told):  # not each time a count changes
                out.append(self._waits(resident, self.stuck))
            self._queue.append(resident)
            starved.append(Hunger(need, 0, resident.spec.owner, 0, 0, None, since))
        return starved

    def _settle(self, resident: Resident, now: float, out: list[NodeEffect]) -> bool:
        need = resident.spec.resources
        gpus = self._ledger.take(need)
        if gpus is None:
            return False
        env = resident.spec.env
        key = b"" if env is None else env.key
        worker = self._scheduler.obtain(need, now, out, fresh=True, env=key)
        if worker is None:
            self._ledger.give(need, gpus)
            self.stuck = self._scheduler.stuck
            return False
        if resident.told:
            out.append(self._waits(resident, ""))
        resident.holding = Holding(worker.client, need, gpus)
        self.by_worker[worker.client] = resident
        if worker.state is State.IDLE:
            out.extend(self.tell(resident, worker, now))
        return True

    def _waits(self, resident: Resident, why: str) -> NodeEffect:
        resident.told = why
        owner, actor, _ = resident.key
        return Send(owner, ActorWaits(self._me, owner, actor, why))

    def tell(self, resident: Resident, worker: Worker, now: float) -> list[NodeEffect]:
        """The worker is ready: tell it who it is."""
        assert resident.holding is not None
        worker.move("become", now)
        message = BecomeActor(
            self._me, resident.spec, resident.incarnation, resident.holding.gpus
        )
        return [Send(worker.client, message)]

    def up(self, message: ActorUp) -> list[NodeEffect]:
        """`__init__` returned or raised: the head decides what follows."""
        if message.worker not in self.by_worker:
            return []
        return [Send(HEAD, message)]

    def stop(self, message: StopActor, now: float) -> list[NodeEffect]:
        """The head ends an incarnation."""
        resident = self._all.get((message.owner, message.actor, message.incarnation))
        if resident is None:
            return []
        if resident.holding is None:
            self._queue.remove(resident)
            del self._all[resident.key]
            return [self._down(resident, message.why, False)]
        # Its resources are free only when the process is gone (`died`).
        worker = self._pool.get(resident.holding.worker)
        if worker is None:
            return []
        end = self._pool.end_gently if message.gently else self._pool.end
        return end(worker, message.why, now)

    def died(self, worker: int, cause: str) -> list[NodeEffect]:
        """A worker is dead; if it was an actor, the head hears of it."""
        resident = self.by_worker.pop(worker, None)
        if resident is None or resident.holding is None:
            return []
        resident.holding.release(self._ledger)
        del self._all[resident.key]
        return [self._down(resident, cause, True)]

    def _down(self, resident: Resident, cause: str, restartable: bool) -> NodeEffect:
        owner, actor, incarnation = resident.key
        return Send(HEAD, ActorDown(self._me, owner, actor, incarnation, cause, restartable))
