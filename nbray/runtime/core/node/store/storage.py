"""The node's side of its object store: slots for clients, and the ends of owners.

Owns requests that wait for a segment or for room, and the questions to clients after an
owner's death. Does not own the books (`slots`, `disk`), what makes room (`spilling`), nor
memory and files (the shell adds and drops them). Rules: one segment or file is asked for
at a time; requests are answered in order. What is larger than the whole store goes to disk,
and so does what finds no room although nothing more can be moved out of its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

from nbray.config import ROOM_SECONDS
from nbray.figures import memory
from nbray.runtime.core.effects import AddFile, AddSegment, DropSegment, NodeEffect, Send
from nbray.runtime.core.node.store.disk import NeedFile, NoDisk
from nbray.runtime.core.node.store.slots import Full, NeedSegment, StoreBooks
from nbray.runtime.core.node.store.spilling import Spilling
from nbray.wire.messages import Slot, Unclaimed, WhatHeld

Done = Callable[[Slot | Full], list[NodeEffect]]
"""Called with the slot, or with why there is none."""


class Storage:
    """Requests to the store of one node. `me` is the node's client id."""

    def __init__(self, me: int, books: StoreBooks, clients: Collection[int] = ()) -> None:
        self._me = me
        self.books = books
        self.spilling = Spilling(me, books, clients)
        self._waiting: deque[tuple[int, int, int, Done]] = deque()
        self._since = 0.0
        """When the first of them came to its turn."""
        self._now = 0.0
        self._asked = False
        self._made: dict[int, dict[int, tuple[int, Slot]]] = {}
        """Worker -> generation -> (owner, slot) of what it took for results of others' tasks."""
        self._maker: dict[int, int] = {}

    def made(self, worker: int, owner: int, slot: Slot, token: int) -> None:
        """Note that *worker*, which asked under *token*, has a slot to fill.

        It has yet to announce it, if it is a result, to its owner.
        """
        if self.books.disk is not None:
            self.spilling.filling(slot, worker, token)
        if worker != owner:
            self._made.setdefault(worker, {})[slot.generation] = (owner, slot)
            self._maker[slot.generation] = worker

    def allocate(self, owner: int, size: int, writer: int, done: Done) -> list[NodeEffect]:
        """Find room for an object that *writer* will fill.

        *done* is called now, or when a segment was added, or when there is room.
        """
        self._waiting.append((owner, size, writer, done))
        if len(self._waiting) > 1:
            return []
        self._since = self._now
        return self._serve()

    def _serve(self) -> list[NodeEffect]:
        out: list[NodeEffect] = []
        while self._waiting and not self._asked:
            owner, size, writer, done = self._waiting[0]
            result: Slot | NeedSegment | NeedFile | Full
            result = self.books.allocate(owner, size, writer)
            if isinstance(result, NeedSegment):
                self._asked = True
                return [*out, *map(DropSegment, result.drop), AddSegment(result.size)]
            if isinstance(result, Full) and self.books.disk is not None:
                if size <= self.books.capacity and self._since + ROOM_SECONDS > self._now:
                    out.extend(self.spilling.make_room(size))
                    if self.spilling.busy:
                        return out
                result = self._on_disk(owner, size, result)
                if isinstance(result, NeedFile):
                    self._asked = True
                    return [*out, AddFile(result.size)]
            self._waiting.popleft()
            self._since = self._now
            out.extend(done(result))
        return out

    def _on_disk(self, owner: int, size: int, full: Full) -> Slot | NeedFile | Full:
        """A place on disk for what finds none in memory."""
        disk = self.books.disk
        assert disk is not None
        place = disk.place(size)
        if isinstance(place, NeedFile):
            return place
        if isinstance(place, NoDisk):
            self.spilling.refused = place.told
            return Full(f"{full.reason}. It cannot go to disk either: {place.reason}", True)
        self.spilling.refused = ""
        return self.books.made_on_disk(owner, *place, size)

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
            owner, size, _, done = self._waiting[0]
            result: Slot | NeedFile | Full = Full(why)
            if self.books.disk is not None:
                result = self._on_disk(owner, size, Full(why))
            if isinstance(result, NeedFile):
                self._asked = True
                return [AddFile(result.size)]
            self._waiting.popleft()
            self._since = self._now
            out.extend(done(result))
        return [*out, *self._serve()]

    def file_added(self, number: int, size: int) -> list[NodeEffect]:
        """The file that was asked for exists."""
        self._asked = False
        self.spilling.file_came()
        disk = self.books.disk
        assert disk is not None
        disk.file_added(number, size)
        out = self._serve()
        disk.drop_empty()
        return [*out, *self._freed()]

    def file_failed(self, why: str) -> list[NodeEffect]:
        """The system makes no file: the first request fails."""
        self._asked = False
        self.spilling.file_came()
        out: list[NodeEffect] = []
        self.spilling.refused = why
        if self._waiting:
            _, size, _, done = self._waiting.popleft()
            self._since = self._now
            out.extend(done(Full(f"there is no room for {memory(size)}, and {why}", True)))
        return [*out, *self._serve()]

    def spilled(
        self, in_use: Collection[int], written: Collection[int], failed: Collection[int], why: str
    ) -> list[NodeEffect]:
        """What has become of a `Spill`, by generation; *why* some could not be written."""
        out = self.spilling.spilled(in_use, written, failed, why)
        if failed and self._waiting:
            # For it there is no room, and for those behind it perhaps.
            _, size, _, done = self._waiting.popleft()
            self._since = self._now
            said = f"there is no room for {memory(size)}, and what is there cannot be moved: {why}"
            out.extend(done(Full(said, True)))
        return [*out, *self._serve(), *self._freed()]

    def reclaimed(self, number: int, offset: int) -> None:
        """The disk has a range of a file back."""
        if self.books.disk is not None:
            self.books.disk.reclaimed(number, offset)

    def uses_pins(self, client: int, why: str) -> list[NodeEffect]:
        """A client pins what it uses from now on, or cannot."""
        self.spilling.uses_pins(client, why)
        return self._serve()

    def pins_made(self, pins: int) -> list[NodeEffect]:
        """The file for pins exists, or (0) cannot be made."""
        return [*self.spilling.pins_made(pins), *self._serve()]

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
        """After every step: serve who waits, and give back what nobody has used for a while."""
        self._now = now
        self.spilling.let_pass(now)
        out = self._serve() if self._waiting else []
        out.extend(self.books.sweep(now))
        out.extend(self._freed())
        return out

    def _freed(self) -> list[NodeEffect]:
        """What follows from what was freed on disk."""
        if self.books.disk is None:
            return []
        return [*self.spilling.effects(), *self.books.disk.effects()]

    def next_deadline(self, now: float) -> float | None:
        """When `sweep` has something to do."""
        due = [self.books.next_deadline(now), self.spilling.next_deadline()]
        if self._waiting and not self._asked:
            due.append(self._since + ROOM_SECONDS)
        return min((one for one in due if one is not None), default=None)

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
        self.spilling.client_died(client)
        unclaimed: dict[int, list[Slot]] = {}
        for generation, (owner, slot) in self._made.pop(client, {}).items():
            del self._maker[generation]
            if self.books.is_live(slot):
                unclaimed.setdefault(owner, []).append(slot)
        return [Send(owner, Unclaimed(self._me, slots)) for owner, slots in unclaimed.items()]
