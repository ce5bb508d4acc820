"""The node's side of its object store: slots for clients, and the ends of owners.

Owns requests that wait for a segment and the questions to clients after an
owner's death. Does not own the books (`slots`) nor memory (the shell adds and drops
segments). Rule: one segment is asked for
at a time; requests are answered in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

from nbray.runtime.core.effects import AddSegment, DropSegment, NodeEffect, Send
from nbray.runtime.core.node.store.slots import Full, NeedSegment, StoreBooks
from nbray.wire.messages import Slot, Unclaimed, WhatHeld

Done = Callable[[Slot | Full], list[NodeEffect]]
"""Called with the slot, or with why there is none."""


class Storage:
    """Requests to the store of one node. `me` is the node's client id."""

    def __init__(self, me: int, books: StoreBooks) -> None:
        self._me = me
        self.books = books
        self._waiting: deque[tuple[int, int, int, Done]] = deque()
        self._asked = False
        self._made: dict[int, dict[int, tuple[int, Slot]]] = {}
        """Worker -> generation -> (owner, slot) of what it took for results of others' tasks."""
        self._maker: dict[int, int] = {}

    def made(self, worker: int, owner: int, slot: Slot) -> None:
        """Note that *worker* has a slot for a result that it has yet to announce to its owner."""
        if worker != owner:
            self._made.setdefault(worker, {})[slot.generation] = (owner, slot)
            self._maker[slot.generation] = worker

    def allocate(self, owner: int, size: int, writer: int, done: Done) -> list[NodeEffect]:
        """Find room for an object that *writer* will fill.

        *done* is called now, or when a segment was added.
        """
        self._waiting.append((owner, size, writer, done))
        return [] if self._asked else self._serve()

    def _serve(self) -> list[NodeEffect]:
        out: list[NodeEffect] = []
        while self._waiting:
            owner, size, writer, done = self._waiting[0]
            result = self.books.allocate(owner, size, writer)
            if isinstance(result, NeedSegment):
                self._asked = True
                return [*out, *map(DropSegment, result.drop), AddSegment(result.size)]
            self._waiting.popleft()
            out.extend(done(result))
        return out

    def segment_added(self, segment: int, size: int) -> list[NodeEffect]:
        """The segment that was asked for exists."""
        self._asked = False
        self.books.segment_added(segment, size)
        return self._serve()

    def segment_failed(self, why: str) -> list[NodeEffect]:
        """The system has nothing for a segment: without spare ones the first request fails."""
        self._asked = False
        out = self.relieve()
        if not out and self._waiting:
            *_, done = self._waiting.popleft()
            out.extend(done(Full(why)))
        return [*out, *self._serve()]

    def free(self, slots: Iterable[Slot]) -> None:
        """An owner lets go of slots."""
        for slot in slots:
            worker = self._maker.pop(slot.generation, 0)
            if worker:
                made = self._made[worker]
                del made[slot.generation]
                if not made:
                    del self._made[worker]
            self.books.free(slot)

    def sweep(self, now: float) -> list[NodeEffect]:
        """Give back memory that nobody has used for a while; after every step."""
        return self.books.sweep(now)

    def relieve(self) -> list[NodeEffect]:
        """Memory is scarce: give back what is only kept warm."""
        return self.books.relieve()

    def owner_died(self, owner: int, clients: Collection[int]) -> list[NodeEffect]:
        """Ask the live *clients* of this machine what of a dead owner's they still view."""
        slots = self.books.owner_died(owner, clients)
        if not slots:
            return []
        return [Send(client, WhatHeld(self._me, owner, slots)) for client in clients]

    def held(self, client: int, owner: int, still: list[Slot]) -> None:
        """A client's answer."""
        self.books.release_held(client, owner, still)

    def client_died(self, client: int) -> list[NodeEffect]:
        """A client of this machine is dead: its views are gone, and it announces nothing more."""
        self.books.client_died(client)
        unclaimed: dict[int, list[Slot]] = {}
        for generation, (owner, slot) in self._made.pop(client, {}).items():
            del self._maker[generation]
            if self.books.is_live(slot):
                unclaimed.setdefault(owner, []).append(slot)
        return [Send(owner, Unclaimed(self._me, slots)) for owner, slots in unclaimed.items()]
