"""What of a full store goes to disk: which objects, when, and who is asked first.

Owns the choice of objects to move, those that are being written, and what clients ask
about objects that move. Does not own the books (`slots`, `disk`), who waits for room
(`storage`), nor the writing (the node's shell, in a thread of its own).

Rules. The objects that have been in memory longest go first. One that is in use, by a
view of its bytes or because it is still being filled, stays where it is: clients pin
what they use in a file whose locks the kernel keeps (`runtime.store.pins`), so that a
client that is busy, or dead, need not be asked. They begin to do so when the store is
full for the first time (`UsePins`), and nothing moves before all have said that they do:
a store that is never full costs nobody a pin. An object keeps its slot as its name when
it moves; whoever cannot pin it asks where it lies (`Where`), and reads it from there: it
is mapped from the file, and what of it is read often the system keeps in memory.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from nbray.config import IN_USE_SECONDS, PIN_SECONDS, SPILL_BATCH
from nbray.figures import memory
from nbray.runtime.core.effects import (
    AddFile,
    MakePins,
    Move,
    NodeEffect,
    Send,
    Spill,
    Unpin,
)
from nbray.runtime.core.node.store.disk import NeedFile, NoDisk
from nbray.runtime.core.node.store.slots import StoreBooks
from nbray.wire.messages import Lies, Slot, UsePins, Where
from nbray.wire.pins import filler_pin


class Spilling:
    """That of one node, whose client id is *me*; *clients* are the live ones of its machine.

    Attributes:
        pins: the number of the file in which clients pin what they use; 0: there is none yet.
        written: bytes that have been moved to disk since the start.
        busy: what is being asked or written, so that there may be room later.
        failed: why nothing could be written the last time ('': it could).
    """

    def __init__(self, me: int, books: StoreBooks, clients: Collection[int]) -> None:
        self._me = me
        self._books = books
        self._clients = clients
        self.pins = 0
        self.written = 0
        self.failed = ""
        self.refused = ""
        """Why an object found no room on the disk either ('': one did since)."""
        self._wanted = False
        """Pins were asked for."""
        self._unpinned: set[int] = set()
        """Clients that have not said that they pin what they use."""
        self._patience = inf
        """When they are waited for no longer."""
        self._again = 0.0
        """When they are asked once more."""
        self._fillers: dict[int, int] = {}
        """By generation, the pin of whoever fills, or has filled, an object."""
        self._unfinished: set[int] = set()
        """Generations of what comes from other nodes."""
        self._in_use: dict[int, float] = {}
        """By generation, until when an object that was in use is left alone."""
        self._writing: dict[int, Move] = {}
        self._needs_file = 0
        """Bytes of a file that was asked for, to move objects into it."""
        self._asked: dict[int, list[tuple[int, int]]] = {}
        """By generation of what is being written: (client, its token)."""
        self._now = 0.0
        self._told = False
        self._effects: list[NodeEffect] = []
        books.on_free = self._freed

    # -- what is where ------------------------------------------------------------------

    def filling(self, slot: Slot, client: int, token: int) -> None:
        """*client* was given *slot* when it asked under *token*, and fills it."""
        if client == self._me:
            self._unfinished.add(slot.generation)
        else:
            self._fillers[slot.generation] = filler_pin(client, token)

    def filled(self, slot: Slot) -> None:
        """All of an object has come from another node."""
        self._unfinished.discard(slot.generation)

    def _freed(self, slot: Slot, moved: bool) -> None:
        generation = slot.generation
        self._fillers.pop(generation, None)
        self._unfinished.discard(generation)
        self._in_use.pop(generation, None)
        if moved:
            self._effects.append(Unpin(generation))

    def effects(self) -> list[NodeEffect]:
        """What follows from what was freed, once."""
        if not self._effects:
            return []
        out, self._effects = self._effects, []
        return out

    def where(self, message: Where) -> list[NodeEffect]:
        """A client cannot pin an object, so it moves or has moved."""
        slot, client, token = message.slot, message.sender, message.token
        if not self._books.is_live(slot):
            return [Send(client, Lies(self._me, token, None, "it has been freed"))]
        if slot.generation in self._writing:
            self._asked.setdefault(slot.generation, []).append((client, token))
            return []
        return [Send(client, Lies(self._me, token, self._books.where(slot)))]

    def _answer(self, slot: Slot) -> list[NodeEffect]:
        asked = self._asked.pop(slot.generation, [])
        if self._books.is_live(slot):
            place, why = self._books.where(slot), ""
        else:
            place, why = None, "it has been freed"
        return [Send(client, Lies(self._me, token, place, why)) for client, token in asked]

    # -- room -----------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether there may be room by itself, in a moment."""
        return bool(self._writing or self._needs_file or self._settling)

    @property
    def _settling(self) -> bool:
        """Whether clients are still being asked to pin what they use."""
        return self._wanted and (not self.pins or bool(self._unpinned)) and self._patience != -inf

    def make_room(self, need: int) -> list[NodeEffect]:
        """Begin to move objects out of the way of one of *need* bytes; see `busy`."""
        disk = self._books.disk
        if disk is None or self.busy:
            return []
        if not self._wanted:
            self._wanted = True
            self._patience = self._again = self._now + PIN_SECONDS
            return [MakePins()]
        if not self.pins:
            return []
        if self._unpinned:
            return self._ask_again()
        goal = max(need - (self._books.capacity - self._books.used), 0)
        goal = max(goal, min(SPILL_BATCH, self._books.capacity // 8))
        moves: list[Move] = []
        for slot in self._books.in_memory():
            if goal <= 0:
                break
            generation = slot.generation
            if generation in self._unfinished or self._now < self._in_use.get(generation, -inf):
                continue
            place = disk.place(slot.size)
            if isinstance(place, NeedFile):
                if moves:
                    break
                self._needs_file = place.size
                return [AddFile(place.size)]
            if isinstance(place, NoDisk):
                self.failed = place.reason
                break
            to = Slot(slot.node, *place, slot.size, generation)
            moves.append(Move(slot, to, self._fillers.get(generation, 0)))
            goal -= slot.size
        if not moves:
            return []
        self._writing.update((move.slot.generation, move) for move in moves)
        return [Spill(tuple(moves))]

    def _ask_again(self) -> list[NodeEffect]:
        """Some client does not pin what it uses: it could not yet, or is busy."""
        if self._now < self._again:
            return []
        self._again = self._now + PIN_SECONDS
        return [Send(client, UsePins(self._me, self.pins)) for client in self._unpinned]

    def file_came(self) -> None:
        """A file was made, or could not be."""
        self._needs_file = 0

    def spilled(
        self, in_use: Collection[int], written: Collection[int], failed: Collection[int], why: str
    ) -> list[NodeEffect]:
        """What has become of moves, by generation."""
        out: list[NodeEffect] = []
        for generation in in_use:
            self._in_use[generation] = self._now + IN_USE_SECONDS
        for generation in (*in_use, *written, *failed):
            move = self._writing.pop(generation)
            disk = self._books.disk
            assert disk is not None
            if generation in written and self._books.is_live(move.slot):
                self._books.move(move.slot, move.to)
                self.written += move.slot.size
            else:
                disk.release(move.to.segment, move.to.offset, move.to.size)
                if generation not in in_use:
                    out.append(Unpin(generation))
            out.extend(self._answer(move.slot))
        if written:
            self.failed = self.refused = ""
        if failed:
            self.failed = self.refused = why
        return out

    @property
    def trouble(self) -> str:
        """What hinders work while memory is full and the disk takes nothing; else ''."""
        books = self._books
        if not self.refused or books.disk is None:
            return ""
        if books.used < books.capacity - books.capacity // 8:
            self.refused = ""
            return ""
        return (
            f"objects find no room: the store ({memory(books.capacity)}) is full, and "
            f"{self.refused}. What finds none fails with OutOfDiskError, all else goes on. Drop "
            "references, free some of that disk, or start with a folder on another one "
            "(nbray.init(object_spilling_directory=...))"
        )

    def news(self) -> str:
        """The first time that something lies on disk: a sentence for people; else ''."""
        books = self._books
        if self._told or books.disk is None or not books.moved:
            return ""
        self._told = True
        return (
            f"the object store ({memory(books.capacity)}) does not hold all objects: some go to "
            f"disk, {memory(books.disk.used)} so far, in {books.disk.directory}. Work goes on, but "
            "more slowly. A larger store: nbray.init(object_store_memory=...); another folder: "
            "object_spilling_directory=..."
        )

    # -- pins -----------------------------------------------------------------------------

    def pins_made(self, pins: int) -> list[NodeEffect]:
        """There is a file for pins; 0: here there can be none, so nothing is ever moved."""
        if not pins:
            self._patience = -inf
            return []
        self.pins = pins
        self._unpinned = set(self._clients)
        return [Send(client, UsePins(self._me, pins)) for client in self._clients]

    def uses_pins(self, client: int, why: str) -> None:
        """A client pins what it uses, or cannot."""
        if not why:
            self._unpinned.discard(client)

    def client_died(self, client: int) -> None:
        """A client of this machine is dead: the kernel has taken its pins away."""
        self._unpinned.discard(client)

    # -- time -----------------------------------------------------------------------------

    def let_pass(self, now: float) -> None:
        """Take the time."""
        self._now = now
        if now >= self._patience != -inf:
            self._patience = -inf
        if self._in_use:
            for generation in [one for one, until in self._in_use.items() if until <= now]:
                del self._in_use[generation]

    def next_deadline(self) -> float | None:
        """When somebody is waited for no longer, while it matters."""
        return self._patience if self._settling else None

    def validate(self) -> None:
        """Assert the invariants; for tests."""
        assert not self._unfinished & set(self._writing)
        assert set(self._asked) <= set(self._writing)
