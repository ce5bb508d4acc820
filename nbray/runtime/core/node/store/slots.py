"""The node's books: which segments exist, who owns which bytes, and when they are free again.

Owns the accounting and the fate of a dead owner's slots. Does not own memory
(`store.segments`) nor messages (`storage`): the node's shell makes and drops
what the books ask for. Rule: a slot is used again only when its owner freed it,
or when the owner is dead and no process of this machine views it any more.

Every slot has a generation of its own, so a message about a slot that has been
used again since is recognised: it changes nothing and is counted. An object that
was moved to disk (`spilling` says which, and when) keeps its slot as its name.

A segment in which nothing lies is spare: its pages are warm, and fresh ones
cost ten times the copy into them, so the next object that fits gets it, most
readily from the client that wrote there last and has it mapped. A spare segment
that nobody wanted for a while is dropped (`sweep`), and earlier when the store
has no room or the machine no memory left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from math import inf

import msgspec

from nbray.config import SPARE_SECONDS
from nbray.figures import memory
from nbray.runtime.core.effects import DropSegment, NodeEffect
from nbray.runtime.core.node.store.allocator import PAGE, Allocator, pages
from nbray.runtime.core.node.store.disk import Disk
from nbray.wire.messages import Slot, Why

ARENA = 64 << 20
"""Bytes of a segment that many objects share; larger objects get one of their own."""
ROOMY = 2
"""An object may get a spare segment of at most this many times its size."""


class NeedSegment(msgspec.Struct, frozen=True, gc=False):
    """Create a segment of `size` bytes, call `segment_added`, and allocate again."""

    size: int
    drop: tuple[int, ...] = ()
    """Drop these spare segments first: their warm pages would go beyond the capacity."""


class Full(msgspec.Struct, frozen=True, gc=False):
    """The object does not fit; `reason` is a sentence for the user."""

    reason: str
    disk: bool = False
    """Nor does the disk take it."""

    @property
    def kind(self) -> Why:
        """The same for whoever acts on it."""
        return Why.OUT_OF_DISK if self.disk else Why.FULL


class _Orphan:
    """A slot of a dead owner: which clients have yet to say, and which still view it."""

    __slots__ = ("holding", "slot", "unheard")

    def __init__(self, slot: Slot, clients: Iterable[int]) -> None:
        self.slot = slot
        self.unheard = set(clients)
        self.holding: set[int] = set()


class StoreBooks:
    """The books of one node's store.

    Attributes:
        node: the node's number, which its slots carry (set when it is known).
        arena: bytes of a segment that many objects share (0: `ARENA`).
        capacity: bytes that objects may take, in whole pages.
        used: bytes that objects take, in whole pages.
        reserved: bytes of all segments.
        stale: how many slots were freed that were free, or used again, already.
    """

    def __init__(
        self, capacity: int, node: int = 0, arena: int = 0, disk: Disk | None = None
    ) -> None:
        self.disk = disk
        """What it has on disk; None: a full store takes nothing more."""
        self.node = node
        self.capacity = max(PAGE, capacity // PAGE * PAGE)
        self.used = 0
        self.reserved = 0
        self.stale = 0
        self.arena = min(arena or ARENA, self.capacity)
        self._segments: dict[int, Allocator] = {}
        self._spare: dict[int, float] = {}
        """Empty segments, longest empty first, each with the time when it is dropped."""
        self._unstamped = 0
        """How many of them, the last ones, have not been given a time yet (it is infinite)."""
        self._writer: dict[int, int] = {}
        """The client that took room in a segment last, so has it mapped."""
        self._live: dict[int, tuple[int, Slot]] = {}
        """By generation: owner and slot."""
        self._by_owner: dict[int, dict[int, Slot]] = {}
        self._elsewhere: dict[int, Slot] = {}
        """By generation, where on disk an object lies."""
        self._orphans: dict[int, dict[int, _Orphan]] = {}
        """Dead owner, then generation."""
        self._generation = 0
        self.on_free: Callable[[Slot, bool], None] = lambda _slot, _moved: None
        """Told of every object that is freed, and whether it had been moved to disk."""

    # Figures

    def __len__(self) -> int:
        """How many objects the store holds."""
        return len(self._live)

    def owned(self) -> Collection[int]:
        """The owners of all objects here."""
        return list(self._by_owner)

    def live(self) -> Collection[tuple[int, Slot]]:
        """What lies here, with its owner."""
        return self._live.values()

    def owners(self) -> dict[int, int]:
        """Bytes of memory in use by owner (client id), in whole pages."""
        return {
            owner: sum(
                pages(slot.size)
                for slot in slots.values() if slot.generation not in self._elsewhere
            )
            for owner, slots in self._by_owner.items()
        }  # fmt: skip

    def is_live(self, slot: Slot) -> bool:
        """Whether *slot* still holds what it held when it was handed out, here or on disk."""
        return slot.generation in self._live and self._live[slot.generation][1] == slot

    def lies(self, place: Slot) -> bool:
        """Whether an object still lies in *place*, which `where` has given."""
        live = self._live.get(place.generation)
        return live is not None and self.where(live[1]) == place

    def where(self, slot: Slot) -> Slot:
        """Where the bytes of the live *slot* lie."""
        return self._elsewhere.get(slot.generation, slot)

    def in_memory(self) -> Iterator[Slot]:
        """What lies in memory, longest there first."""
        elsewhere = self._elsewhere
        return (
            slot for generation, (_, slot) in self._live.items() if generation not in elsewhere
        )

    @property
    def on_disk(self) -> Collection[int]:
        """Generations of what lies on disk."""
        return self._elsewhere.keys()

    @property
    def moved(self) -> int:
        """How many objects lie on disk."""
        return len(self._elsewhere)

    # Segments and slots

    def allocate(self, owner: int, size: int, writer: int = 0) -> Slot | NeedSegment | Full:
        """A slot for *size* bytes of an object of *owner*'s, or what it takes to get one.

        Args:
            owner: the client that frees it.
            size: bytes.
            writer: the client that will fill it (0: the owner).
        """
        need = pages(size)
        if need > self.capacity:
            return Full(
                f"an object of {memory(size)} can never fit in this node's object store of "
                f"{memory(self.capacity)}: start the cluster with a larger one "
                f"(nbray.init(object_store_memory={_round(need)})), or split the object"
            )
        if need > self.capacity - self.used:
            return Full(
                f"an object of {memory(size)} does not fit: {memory(self.used)} of this node's "
                f"object store of {memory(self.capacity)} are in use by {len(self._live)} objects. "
                "Drop references you no longer need (del ref), or start the cluster with a larger "
                f"store (nbray.init(object_store_memory={_round(self.used + need)}))"
            )
        writer = writer or owner
        if need > self.arena:
            found = self._best_spare(need, writer)
            if found is not None:
                self._segments[found].allocate(size)
                return self._hand_out(owner, writer, found, 0, size)
            return self._need(need, _rounded(need))
        for here_before in (True, False):
            for segment, allocator in self._segments.items():
                if allocator.capacity > self.arena:
                    continue  # made for one large object: takes no other than such a one
                if (self._writer.get(segment) == writer) == here_before:
                    offset = allocator.allocate(size)
                    if offset is not None:
                        return self._hand_out(owner, writer, segment, offset, size)
        return self._need(self.arena, self.arena)

    def _best_spare(self, need: int, writer: int) -> int | None:
        """The spare segment for a large object: the writer's own, else the smallest that fits."""
        best, rank = None, (True, ROOMY * need + 1)
        for segment in self._spare:
            size = self._segments[segment].capacity
            this = (self._writer.get(segment) != writer, size)
            if max(need, self.arena + 1) <= size <= ROOMY * need and this < rank:
                best, rank = segment, this
        return best

    def _need(self, least: int, size: int) -> NeedSegment:
        """A new segment of *size* bytes, or of *least* if there is no room for more."""
        drop = []
        while self._spare and self.reserved + size > self.capacity:
            drop.append(next(iter(self._spare)))
            self._forget(drop[-1])
        return NeedSegment(size if self.reserved + size <= self.capacity else least, tuple(drop))

    def _hand_out(self, owner: int, writer: int, segment: int, offset: int, size: int) -> Slot:
        if self._spare.pop(segment, 0.0) == inf:
            self._unstamped -= 1
        self._writer[segment] = writer
        self.used += pages(size)
        return self._name(owner, segment, offset, size)

    def _name(self, owner: int, segment: int, offset: int, size: int) -> Slot:
        self._generation += 1
        slot = Slot(self.node, segment, offset, size, self._generation)
        self._live[slot.generation] = (owner, slot)
        self._by_owner.setdefault(owner, {})[slot.generation] = slot
        return slot

    def made_on_disk(self, owner: int, file: int, offset: int, size: int) -> Slot:
        """A slot for an object that has its place on disk from the beginning."""
        slot = self._name(owner, file, offset, size)
        self._elsewhere[slot.generation] = slot
        return slot

    def move(self, slot: Slot, to: Slot) -> None:
        """The live *slot*, which lies in memory, lies on disk now; its memory is free."""
        assert slot.generation not in self._elsewhere
        self._elsewhere[slot.generation] = to
        self._vacate(slot)

    def segment_added(self, segment: int, size: int) -> None:
        """The segment that `NeedSegment` asked for exists, under this number."""
        assert segment not in self._segments, "a segment's number is never used twice"
        self._segments[segment] = Allocator(size)
        self.reserved += size
        self._spared(segment)

    def free(self, slot: Slot) -> None:
        """The owner no longer refers to *slot*."""
        if not self.is_live(slot):
            self.stale += 1
            return
        owner, _ = self._live.pop(slot.generation)
        slots = self._by_owner[owner]
        del slots[slot.generation]
        if not slots:
            del self._by_owner[owner]
        orphans = self._orphans.get(owner)
        if orphans is not None:
            orphans.pop(slot.generation, None)
            if not orphans:
                del self._orphans[owner]
        if slot.generation in self._elsewhere:
            place = self._elsewhere.pop(slot.generation)
            assert self.disk is not None
            self.disk.release(place.segment, place.offset, place.size)
            self.on_free(slot, place != slot)
        else:
            self._vacate(slot)
            self.on_free(slot, False)

    def _vacate(self, slot: Slot) -> None:
        allocator = self._segments[slot.segment]
        self.used -= allocator.free(slot.offset)
        if not allocator.used:
            self._spared(slot.segment)

    # Spare segments

    def _spared(self, segment: int) -> None:
        self._spare[segment] = inf
        self._unstamped += 1

    def _forget(self, segment: int) -> None:
        if self._spare.pop(segment) == inf:
            self._unstamped -= 1
        self._writer.pop(segment, None)
        self.reserved -= self._segments.pop(segment).capacity

    def sweep(self, now: float) -> list[NodeEffect]:
        """Give back the segments that have been spare for `SPARE_SECONDS`.

        They count from the first call after they became so: call it after every
        step, and at `next_deadline`.
        """
        if self._unstamped:
            for segment in list(self._spare)[-self._unstamped :]:
                self._spare[segment] = now + SPARE_SECONDS
            self._unstamped = 0
        due = [segment for segment, when in self._spare.items() if when <= now]
        for segment in due:
            self._forget(segment)
        return [DropSegment(segment) for segment in due]

    def next_deadline(self, now: float) -> float | None:
        """When `sweep` has something to do."""
        return now if self._unstamped else next(iter(self._spare.values()), None)

    def relieve(self) -> list[NodeEffect]:
        """The machine is short of memory: give back every spare segment now."""
        due = list(self._spare)
        for segment in due:
            self._forget(segment)
        return [DropSegment(segment) for segment in due]

    # Ends

    def owner_died(self, owner: int, clients: Collection[int]) -> list[Slot]:
        """*owner* is dead: which of its slots its node must ask *clients* about.

        Each of *clients* (all live ones of this machine) is to be asked which of
        these slots it still views, and its answer given to `release_held`. With
        nobody to ask, the slots are free at once.
        """
        slots = list(self._by_owner.get(owner, {}).values())
        asked = [client for client in clients if client != owner]
        if not asked:
            for slot in slots:
                self.free(slot)
            return []
        if slots:
            self._orphans[owner] = {slot.generation: _Orphan(slot, asked) for slot in slots}
        return slots

    def release_held(self, client: int, owner: int, still: Iterable[Slot]) -> None:
        """*client* views of the dead *owner*'s slots only *still*.

        To be called for its first answer and again whenever it lets go of more.
        """
        views = {slot.generation for slot in still}
        for generation, orphan in list(self._orphans.get(owner, {}).items()):
            orphan.unheard.discard(client)
            if generation in views:
                orphan.holding.add(client)
            else:
                orphan.holding.discard(client)
            self._bury(orphan)

    def client_died(self, client: int) -> None:
        """*client* views nothing any more (what it owned: see `owner_died`)."""
        for orphans in list(self._orphans.values()):
            for orphan in list(orphans.values()):
                orphan.unheard.discard(client)
                orphan.holding.discard(client)
                self._bury(orphan)

    def _bury(self, orphan: _Orphan) -> None:
        if not orphan.unheard and not orphan.holding:
            self.free(orphan.slot)

    def segments(self) -> list[int]:
        """The numbers of all segments, for the node's own end."""
        return list(self._segments)

    def validate(self) -> None:
        """Assert the invariants; for tests."""
        for allocator in self._segments.values():
            allocator.validate()
        assert self.used == sum(allocator.used for allocator in self._segments.values())
        assert self.used == sum(self.owners().values())
        assert self.used <= self.capacity
        assert self.reserved == sum(one.capacity for one in self._segments.values())
        empty = {number for number, one in self._segments.items() if not one.used}
        assert empty == set(self._spare), "a segment is spare when nothing is in it"
        assert set(self._writer) <= set(self._segments)
        times = list(self._spare.values())
        assert times == sorted(times)
        assert times.count(inf) == self._unstamped
        assert set(self._elsewhere) <= set(self._live)
        in_memory = len(self._live) - len(self._elsewhere)
        assert in_memory == sum(len(one) for one in self._segments.values())
        if self.disk is not None:
            self.disk.validate()
        for owner, orphans in self._orphans.items():
            assert orphans, "a dead owner without slots is forgotten"
            assert set(orphans) <= set(self._by_owner[owner])


def _rounded(need: int) -> int:
    """A little more than *need*, so that objects of about one size can follow each other.

    Pages that nobody touches cost nothing.
    """
    step = max(PAGE, (1 << need.bit_length()) // 16)
    return -(-need // step) * step


def _round(size: int) -> str:
    """A number to type that is at least *size*, in whole megabytes."""
    return f"{-(-size // 10**6)}_000_000"
