"""Objects on their way between nodes: what to pull, part by part, and from whom.

Owns fetches of this node, and what it sends to others. Does not own memory or lanes: parts
are written by `WriteSlot` and asked for by idempotent `Pull`s, a window at a time, again when
none came for a while. Rules: an object is fetched once at a time however many clients ask, and
a copy that is here already is not fetched at all. What has come is kept when a source is lost:
the others give the rest. Fetches that began earlier get their parts first, so that what is on
its way at a time is bounded (`MOST`), however many there are.

An object that has several copies comes from all of them. One that many nodes pull from the
same slot they pass on among themselves (`serving`): a node that is sent to another one asks it
by the object's name, and is answered as soon as the part is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nbray.config import CHUNK, PART
from nbray.ids import node_client, node_of
from nbray.runtime.core.effects import NodeEffect, Send, SendBulk, WriteSlot
from nbray.runtime.core.node.store.serving import Serving, order
from nbray.runtime.core.node.store.slots import Full
from nbray.runtime.core.node.store.storage import Storage
from nbray.wire.messages import Chunk, Fetch, Fetched, Moved, Pull, Ref, Slot, Why

WINDOW = 16 * CHUNK
"""Bytes asked of one source and not yet come, for each fetch."""
MOST = 4 * WINDOW
"""The same for all fetches of a node together."""
LARGE = 16 * CHUNK
"""Bytes from which on an object moves in parts of `PART`, and is passed on by those that pull it:
smaller ones in parts of `CHUNK`, from where they lie."""
DEAD_OWNER = "the process that owned the object has ended"
STALL = 3.0
"""Seconds without a part after which what is missing is asked for again, of another source if
there is one; where parts take longer, three times that."""
MOST_STALL = 60.0


class Transfer:
    """One object being fetched."""

    __slots__ = ("asked", "came", "insisting", "key", "last", "local", "missing", "part",
                 "patience", "size", "sources", "token", "waiters", "wanted")  # fmt: skip

    def __init__(
        self, key: Ref, sources: list[Slot], part: int, token: int, now: float
    ) -> None:
        self.key = key
        self.sources = sources
        self.token = token
        self.size = sources[0].size if sources else 0
        self.part = part
        self.waiters: list[tuple[int, int]] = []
        """(client, its token)."""
        self.local: Slot | None = None
        self.missing: list[int] = []
        """Starts not yet asked for, last first."""
        self.asked: dict[int, tuple[int, int]] = {}
        """Start -> (the source that was asked, the node that it named, which sends it)."""
        self.insisting: set[int] = set()
        """Starts that have to come from a source itself: others did not send them."""
        self.came: set[int] = set()
        self.wanted: dict[int, list[tuple[int, int]]] = {}
        """Start -> (node's client, its token) of those who get it from here when it has come."""
        self.last = self.patience = 0.0
        self.progress(now)

    def progress(self, now: float) -> None:
        """A part has come, or the first ones are asked for."""
        gap = now - self.last if self.came else 0.0
        self.last = now
        self.patience = min(MOST_STALL, max(STALL, 3 * gap))

    def outstanding(self, node: int) -> int:
        """Bytes that were asked of a source."""
        return self.part * sum(source == node for source, _ in self.asked.values())


class Transfers:
    """All fetches of one node. *gone* tells whether a node is dead.

    Attributes:
        large: see `LARGE`; the same on every node.
    """

    def __init__(self, me: int, node: int, storage: Storage, gone: Callable[[int], bool]) -> None:
        self._me = me
        self._node = node
        self._storage = storage
        self._gone = gone
        self.large = LARGE
        self._serving = Serving(gone, storage.books.is_live)
        self._by_key: dict[Ref, Transfer] = {}
        """In the order in which they began."""
        self._by_token: dict[int, Transfer] = {}
        """Those that have memory to go to."""
        self._hungry: dict[int, Transfer] = {}
        """Those of them that have parts not yet asked for."""
        self._under_way = 0
        """Bytes that were asked for and have not come."""
        self._copies: dict[Ref, Slot] = {}
        """Objects that were fetched into this store."""
        self._token = 0

    def handle(self, message: Pull | Chunk, now: float) -> list[NodeEffect]:
        """What nodes say to each other."""
        return self._pull(message) if isinstance(message, Pull) else self._chunk(message, now)

    # -- fetching -----------------------------------------------------------------

    def fetch(self, message: Fetch, now: float) -> list[NodeEffect]:
        """A client needs an object here."""
        key = (message.owner, message.seq)
        for slot in message.slots:
            if slot.node == self._node and self._storage.books.is_live(slot):
                return [Send(message.sender, Fetched(self._me, message.token, slot))]
        copy = self._copies.get(key)
        if copy is not None:
            if self._storage.books.is_live(copy):
                return [Send(message.sender, Fetched(self._me, message.token, copy))]
            del self._copies[key]
        running = self._by_key.get(key)
        if running is not None:
            running.waiters.append((message.sender, message.token))
            return []
        self._token += 1
        sources = [slot for slot in message.slots if slot.node != self._node]
        part = self._part(sources[0].size) if sources else CHUNK
        transfer = Transfer(key, sources, part, self._token, now)
        transfer.waiters.append((message.sender, message.token))
        if not sources:
            return self._answer(transfer, None, "no node has the object any more", Why.LOST)
        self._by_key[key] = transfer

        def allocated(slot: Slot | Full) -> list[NodeEffect]:
            if self._by_key.get(key) is not transfer:
                if isinstance(slot, Slot):
                    self._storage.free([slot])  # the owner died
                return []
            if isinstance(slot, Full):
                return self._fail(transfer, slot.reason, slot.kind)
            transfer.local = slot
            self._storage.spilling.filling(slot, self._me, 0)
            self._by_token[transfer.token] = transfer
            starts = list(range(0, transfer.size, transfer.part))
            shared = transfer.size >= self.large
            transfer.missing = order(self._node, starts) if shared else starts[::-1]
            return self._ask(transfer)

        return self._storage.allocate(message.owner, transfer.size, self._me, allocated)

    def _ask(self, transfer: Transfer) -> list[NodeEffect]:
        """Ask for what may be asked for now, of every source that is alive."""
        transfer.sources = [slot for slot in transfer.sources if not self._gone(slot.node)]
        if not transfer.sources:
            return self._fail(transfer, "the nodes that held the object are gone", Why.LOST)
        load = {slot: transfer.outstanding(slot.node) for slot in transfer.sources}
        out: list[NodeEffect] = []
        while transfer.missing and self._under_way < MOST:
            source = min(load, key=lambda slot: load[slot])
            if load[source] + transfer.part > WINDOW:
                break
            start = transfer.missing.pop()
            load[source] += transfer.part
            self._under_way += transfer.part
            transfer.asked[start] = source.node, source.node
            out.append(self._request(transfer, source, start, source.node))
        if transfer.missing:
            self._hungry[transfer.token] = transfer
        else:
            self._hungry.pop(transfer.token, None)
        return out

    def _again(self, transfer: Transfer, starts: Iterable[int]) -> list[NodeEffect]:
        """These were asked for in vain: ask a source, and have it send them itself."""
        for start in sorted(starts, reverse=True):
            del transfer.asked[start]
            self._under_way -= transfer.part
            transfer.insisting.add(start)
            transfer.missing.append(start)
        return self._ask(transfer)

    def _request(self, transfer: Transfer, source: Slot, start: int, node: int) -> NodeEffect:
        size = min(transfer.part, source.size - start)
        insists = start in transfer.insisting
        message = Pull(self._me, transfer.token, source, start, size, transfer.key, insists)
        return Send(node_client(node), message)

    def _chunk(self, message: Chunk, now: float) -> list[NodeEffect]:
        """A part came, or whoever was asked says why it does not."""
        transfer = self._by_token.get(message.token)
        if transfer is None or transfer.local is None:
            return []
        sender, start = node_of(message.sender), message.start
        if message.why:
            return self._refused(transfer, sender, start)
        asked = transfer.asked.get(start)
        if message.at:
            source = next((one for one in transfer.sources if one.node == sender), None)
            if asked is None or source is None or asked != (sender, sender):
                return []  # it has come, or is asked for elsewhere
            if message.at == self._node or self._gone(message.at):
                return self._again(transfer, [start])
            transfer.asked[start] = sender, message.at
            return [self._request(transfer, source, start, message.at)]
        if asked is None:
            return []  # asked for again meanwhile, and here already
        del transfer.asked[start]
        self._under_way -= transfer.part
        transfer.came.add(start)
        transfer.progress(now)
        local = transfer.local
        out: list[NodeEffect] = [WriteSlot(local, start)]
        for client, token in transfer.wanted.pop(start, ()):
            out.append(self._give(client, token, local, start))
        if transfer.asked or transfer.missing:
            return [*out, *(self._ask(transfer) if transfer.missing else self._next())]
        del self._by_token[transfer.token]
        del self._by_key[transfer.key]
        self._copies[transfer.key] = local
        self._storage.spilling.filled(local)
        owner, seq = transfer.key
        # By the node, not by who asked: that one may be dead by now, and the copy would stay.
        out.append(Send(owner, Moved(self._me, seq, local)))
        return [*out, *self._answer(transfer, local), *self._next()]

    def _refused(self, transfer: Transfer, node: int, start: int) -> list[NodeEffect]:
        """A node has not got what it was asked for."""
        asked = transfer.asked.get(start)
        if asked is not None and asked[1] == node != asked[0]:
            return self._again(transfer, [start])  # it was only named by a source
        if all(slot.node != node for slot in transfer.sources):
            return []
        return self._without(transfer, node)

    def _without(self, transfer: Transfer, node: int) -> list[NodeEffect]:
        """Go on without a node: as a source, and as one that a source has named."""
        transfer.sources = [slot for slot in transfer.sources if slot.node != node]
        for start, wanting in transfer.wanted.items():
            transfer.wanted[start] = [one for one in wanting if node_of(one[0]) != node]
        return self._again(
            transfer, [start for start, both in transfer.asked.items() if node in both]
        )

    def _next(self) -> list[NodeEffect]:
        """Let fetches that began later have what earlier ones leave."""
        out: list[NodeEffect] = []
        for transfer in list(self._hungry.values()):
            if self._under_way >= MOST:
                break
            out.extend(self._ask(transfer))
        return out

    def _fail(self, transfer: Transfer, why: str, kind: Why = Why.OTHER) -> list[NodeEffect]:
        """Nothing more comes of this fetch."""
        self._by_key.pop(transfer.key, None)
        self._by_token.pop(transfer.token, None)
        self._hungry.pop(transfer.token, None)
        self._under_way -= transfer.part * len(transfer.asked)
        transfer.asked = {}
        if transfer.local is not None and kind is not Why.OWNER_DIED:  # else its end frees it
            self._storage.free([transfer.local])
        out = self._answer(transfer, None, why, kind)
        for start, wanting in transfer.wanted.items():
            out.extend(Send(to, Chunk(self._me, token, start, why)) for to, token in wanting)
        return out

    def unwritten(self, slot: Slot, why: str, rest: Iterable[NodeEffect]) -> list[NodeEffect]:
        """A part could not be written into *slot*: the fetch fails, even if it was the last one.

        *rest* is what was to be done once the part was written; what is to be done yet comes back.
        """
        kind = Why.OUT_OF_DISK if slot.on_disk else Why.FULL
        for transfer in self._by_token.values():
            if transfer.local == slot:
                return self._fail(transfer, why, kind)
        out: list[NodeEffect] = []
        for effect in rest:
            if isinstance(effect, SendBulk) and effect.slot == slot:
                continue  # who asked for it asks again, and elsewhere
            if isinstance(effect, Send) and isinstance(effect.message, Fetched | Moved):
                said = effect.message
                if said.slot == slot and isinstance(said, Moved):
                    continue
                if said.slot == slot and isinstance(said, Fetched):
                    out.append(Send(effect.to, Fetched(self._me, said.token, None, why, kind)))
                    continue
            out.append(effect)
        self._copies = {key: copy for key, copy in self._copies.items() if copy != slot}
        self._storage.free([slot])
        return out

    def _answer(
        self, transfer: Transfer, slot: Slot | None, why: str = "", kind: Why = Why.OTHER
    ) -> list[NodeEffect]:
        return [
            Send(client, Fetched(self._me, token, slot, why, kind))
            for client, token in transfer.waiters
        ]

    def moving(self) -> tuple[int, int]:
        """(bytes that are still to come, the node that most of them come from), for screens."""
        sources: dict[int, int] = {}
        for transfer in self._by_token.values():
            parts = len(transfer.asked) + len(transfer.missing)
            node = transfer.sources[0].node
            sources[node] = sources.get(node, 0) + min(transfer.size, parts * transfer.part)
        if not sources:
            return 0, 0
        return sum(sources.values()), max(sources, key=lambda node: sources[node])

    # -- serving --------------------------------------------------------------------

    def _pull(self, message: Pull) -> list[NodeEffect]:
        """Another node wants bytes of a slot of ours, or of our copy of what is in that slot."""
        client, token, start, slot = message.sender, message.token, message.start, message.slot
        if slot.node == self._node and self._storage.books.is_live(slot):
            at = 0
            if slot.size >= self.large:
                node = node_of(client)
                at = self._serving.ask(slot, start, node, message.insists)
            if at:
                return [Send(client, Chunk(self._me, token, start, at=at))]
            return [self._give(client, token, slot, start)]
        if slot.node != self._node:
            copy = self._copies.get(message.key)
            if copy is not None and self._storage.books.is_live(copy):
                return [self._give(client, token, copy, start)]
            transfer = self._by_key.get(message.key)
            if transfer is not None and transfer.local is not None:
                if start in transfer.came:
                    return [self._give(client, token, transfer.local, start)]
                transfer.wanted.setdefault(start, []).append((client, token))
                return []
        why = "the object has been freed there"
        return [Send(client, Chunk(self._me, token, start, why))]

    def _give(self, client: int, token: int, slot: Slot, start: int) -> NodeEffect:
        size = min(self._part(slot.size), slot.size - start)
        place = self._storage.books.where(slot)
        return SendBulk(client, Chunk(self._me, token, start), place, start, size)

    def _part(self, size: int) -> int:
        """Bytes of a part of an object of *size* bytes."""
        return PART if size >= self.large else CHUNK

    # -- ends -------------------------------------------------------------------------

    def client_died(self, client: int) -> None:
        """Nobody waits on behalf of a dead client."""
        for transfer in self._by_key.values():
            transfer.waiters = [w for w in transfer.waiters if w[0] != client]

    def owners(self) -> set[int]:
        """Whose objects are being fetched."""
        return {owner for owner, _ in self._by_key}

    def owner_died(self, owner: int) -> list[NodeEffect]:
        """What a dead client owned is not fetched any more (its slots are freed with it)."""
        out: list[NodeEffect] = []
        for transfer in [one for key, one in self._by_key.items() if key[0] == owner]:
            out.extend(self._fail(transfer, DEAD_OWNER, Why.OWNER_DIED))
        self._copies = {key: slot for key, slot in self._copies.items() if key[0] != owner}
        return out

    def node_lost(self, node: int) -> list[NodeEffect]:
        """Whatever came from a lost node comes from another, or fails."""
        out: list[NodeEffect] = []
        for transfer in list(self._by_token.values()):
            out.extend(self._without(transfer, node))
        return out

    def freed(self, slots: list[Slot]) -> None:
        """Slots of this store were freed: forget copies in them."""
        gone = set(slots)
        self._copies = {key: slot for key, slot in self._copies.items() if slot not in gone}

    def tick(self, now: float) -> list[NodeEffect]:
        """Ask again for what did not come."""
        out: list[NodeEffect] = []
        for transfer in list(self._by_token.values()):
            if transfer.asked and now >= transfer.last + transfer.patience:
                transfer.last = now
                transfer.patience = min(MOST_STALL, 2 * transfer.patience)
                transfer.sources.append(transfer.sources.pop(0))
                out.extend(self._again(transfer, list(transfer.asked)))
        return out

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        due = (one.last + one.patience for one in self._by_token.values() if one.asked)
        return min(due, default=None)
