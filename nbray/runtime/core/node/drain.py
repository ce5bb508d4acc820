"""A node that leaves gently: it takes nothing new, and goes when what runs has ended.

Owns the wish, and the moment at which it can be granted. Does not own the
leaving itself (`brain`), nor that others ask this node for nothing any more
(the head tells them, see `NodeInfo.leaving`), nor what becomes of its actors, which
restart elsewhere if they may (`head.actor_directory`). Rules: every lease is asked back
once; its client lets what runs there end, and gives it back. The node waits for a moment in
which none of its actors works, but not for ever. Then the owners of what lies here have it
brought elsewhere, as far as this is the only copy (`client.objects.handing_over`).
"""

from __future__ import annotations

from nbray.config import ACTORS_SECONDS, HAND_OVER_SECONDS
from nbray.ids import node_of
from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.leases import Leases
from nbray.runtime.core.node.scheduling.peers import Peers
from nbray.runtime.core.node.scheduling.scheduler import Scheduler
from nbray.runtime.core.node.scheduling.workers import WorkerPool
from nbray.runtime.core.node.store.storage import Storage
from nbray.wire.messages import Leaving, Reclaim, Saved, Slot


class Drain:
    """The leaving of one node. `me` is the node's client id."""

    def __init__(
        self, me: int, leases: Leases, scheduler: Scheduler, pool: WorkerPool, storage: Storage,
        peers: Peers,
    ) -> None:  # fmt: skip
        self._me = me
        self._leases = leases
        self._scheduler = scheduler
        self._pool = pool
        self._storage = storage
        self._peers = peers
        self.on = False
        self.done = False
        """The node may go."""
        self.due: float | None = None
        """When the wait for actors, or for owners, is over whatever they do."""
        self._handing = False
        self._asked: set[Slot] = set()
        self._safe: set[Slot] = set()
        self._unsaved = 0
        self._busy = 0

    def begin(self) -> None:
        """From now on nothing new is taken. Idempotent."""
        self.on = True
        self._scheduler.closed = True

    def step(self, now: float) -> list[NodeEffect]:
        """Ask back what has not been asked back yet; then have what lies here brought elsewhere."""
        out: list[NodeEffect] = []
        for lease in self._leases:
            if lease.told and not lease.reclaimed:
                lease.reclaimed = now
                out.append(Send(lease.key[0], Reclaim(self._me, lease.number)))
        if not self._handing:
            if not self._work_ended(now):
                return out
            self._handing, self.due = True, now + HAND_OVER_SECONDS
        slots = self._needed()
        fresh: dict[int, list[Slot]] = {}
        for slot, owner in slots.items():
            if slot not in self._asked:
                fresh.setdefault(owner, []).append(slot)
        self._asked.update(slots)
        nodes = [one.number for one in self._peers.others() if not one.leaving]
        out.extend(Send(owner, Leaving(self._me, some, nodes)) for owner, some in fresh.items())
        left = slots.keys() - self._safe
        self.done = not left or self._late(now)
        self._unsaved += len(left) if self.done else 0
        return out

    def next_deadline(self, now: float) -> float | None:
        """When `step` has something to do though nothing happens."""
        waits = self.due is not None and self.due > now and not self.done
        return self.due if waits else None

    def _late(self, now: float) -> bool:
        return self.due is not None and now >= self.due

    def _work_ended(self, now: float) -> bool:
        """Whether nobody has a lease, nobody here wants work, and no actor works or may go on."""
        if self._leases.leases:
            return False
        if any(want.count and not want.asker for want in self._leases.wants.values()):
            return False
        working = [w for w in self._pool if w.worked is not None and w.worked.running]
        if working and self.due is None:
            self.due = now + ACTORS_SECONDS
        if working and not self._late(now):
            return False
        self._busy = len(working)
        return True

    def _needed(self) -> dict[Slot, int]:
        """What lies here of owners elsewhere who are alive, and who owns it."""
        here = node_of(self._me)
        return {
            slot: owner
            for owner, slot in self._storage.books.live()
            if node_of(owner) != here and not self._peers.gone(node_of(owner))
        }

    def saved(self, message: Saved) -> None:
        """An owner has copies of these elsewhere, or there is no room for them (`why`)."""
        self._safe.update(message.slots)
        if message.why:
            self._unsaved += len(message.slots)

    @property
    def why(self) -> str:
        """Why the node goes, for whoever asked it to."""
        said = "it was asked to leave, and its work has ended"
        if self._busy:
            actors = "an actor" if self._busy == 1 else f"{self._busy:,} actors"
            said = f"it was asked to leave, and {actors} still worked after {ACTORS_SECONDS:.0f} s"
        if self._unsaved:
            objects = "an object" if self._unsaved == 1 else f"{self._unsaved:,} objects"
            said += f"; {objects} could not be brought elsewhere"
        return said
