"""Objects on their way between nodes: what to pull, chunk by chunk.

Owns fetches of this node. Does not own memory or lanes: chunks are written by
`WriteSlot` and asked for by idempotent `Pull`s, a window at a time, again when
none came for a while. Rule: an object is fetched once at a time however many
clients ask, and a copy that is here already is not fetched at all.
"""

from __future__ import annotations

from collections.abc import Callable

from nbray.config import CHUNK
from nbray.ids import node_client
from nbray.runtime.core.effects import NodeEffect, Send, SendBulk, WriteSlot
from nbray.runtime.core.node.store.slots import Full
from nbray.runtime.core.node.store.storage import Storage
from nbray.wire.messages import Chunk, Fetch, Fetched, Moved, Pull, Slot, Why

WINDOW = 8
"""Chunks asked for and not yet come, for each fetch."""
DEAD_OWNER = "the process that owned the object has ended"
STALL = 3.0
"""Seconds without a chunk after which what is missing is asked for again."""


class Transfer:
    """One object being fetched."""

    __slots__ = ("asked", "key", "last", "local", "missing", "sources", "waiters")

    def __init__(self, key: tuple[int, int], sources: list[Slot], now: float) -> None:
        self.key = key
        self.sources = sources
        self.waiters: list[tuple[int, int]] = []
        """(client, its token)."""
        self.local: Slot | None = None
        self.asked: set[int] = set()
        self.missing: list[int] = []
        """Starts not yet asked for, last first."""
        self.last = now


class Transfers:
    """All fetches of one node. *gone* tells whether a node is dead."""

    def __init__(self, me: int, node: int, storage: Storage, gone: Callable[[int], bool]) -> None:
        self._me = me
        self._node = node
        self._storage = storage
        self._gone = gone
        self._by_key: dict[tuple[int, int], Transfer] = {}
        self._by_token: dict[int, Transfer] = {}
        self._copies: dict[tuple[int, int], Slot] = {}
        """Objects that were fetched into this store."""
        self._token = 0

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
        sources = [slot for slot in message.slots if slot.node != self._node]
        transfer = Transfer(key, sources, now)
        transfer.waiters.append((message.sender, message.token))
        if not sources:
            return self._answer(transfer, None, "no node has the object any more")
        self._by_key[key] = transfer
        size = sources[0].size

        def allocated(slot: Slot | Full) -> list[NodeEffect]:
            if self._by_key.get(key) is not transfer:
                if isinstance(slot, Slot):
                    self._storage.free([slot])  # the owner died
                return []
            if isinstance(slot, Full):
                del self._by_key[key]
                return self._answer(transfer, None, slot.reason, Why.FULL)
            transfer.local = slot
            return self._begin(transfer, now)

        return self._storage.allocate(message.owner, size, self._me, allocated)

    def _begin(self, transfer: Transfer, now: float) -> list[NodeEffect]:
        """Ask the next source that is alive for everything."""
        local = transfer.local
        assert local is not None
        self._by_token = {t: x for t, x in self._by_token.items() if x is not transfer}
        while transfer.sources and self._gone(transfer.sources[0].node):
            transfer.sources.pop(0)
        if not transfer.sources:
            self._by_key.pop(transfer.key, None)
            self._storage.free([local])
            return self._answer(transfer, None, "the nodes that held the object are gone")
        self._token += 1
        self._by_token[self._token] = transfer
        transfer.asked = set()
        transfer.missing = list(range(0, local.size, CHUNK))[::-1]
        transfer.last = now
        return self._pull(transfer, self._token)

    def _pull(self, transfer: Transfer, token: int) -> list[NodeEffect]:
        source = transfer.sources[0]
        out: list[NodeEffect] = []
        while transfer.missing and len(transfer.asked) < WINDOW:
            start = transfer.missing.pop()
            transfer.asked.add(start)
            size = min(CHUNK, source.size - start)
            out.append(Send(node_client(source.node), Pull(self._me, token, source, start, size)))
        return out

    def chunk(self, message: Chunk, now: float) -> list[NodeEffect]:
        """A piece came, or the source says why it does not."""
        transfer = self._by_token.get(message.token)
        if transfer is None or transfer.local is None:
            return []
        if message.why:
            transfer.sources.pop(0)
            return self._begin(transfer, now)
        if message.start not in transfer.asked:
            return []  # asked for again meanwhile, and here already
        transfer.asked.discard(message.start)
        transfer.last = now
        out: list[NodeEffect] = [WriteSlot(transfer.local, message.start)]
        if transfer.asked or transfer.missing:
            return [*out, *self._pull(transfer, message.token)]
        del self._by_token[message.token]
        del self._by_key[transfer.key]
        self._copies[transfer.key] = transfer.local
        owner, seq = transfer.key
        # By the node, not by who asked: that one may be dead by now, and the copy would stay.
        out.append(Send(owner, Moved(self._me, seq, transfer.local)))
        return [*out, *self._answer(transfer, transfer.local)]

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
        for transfer in self._by_key.values():
            if transfer.local is not None and transfer.sources:
                chunks = len(transfer.asked) + len(transfer.missing)
                node = transfer.sources[0].node
                size = min(transfer.local.size, chunks * CHUNK)
                sources[node] = sources.get(node, 0) + size
        if not sources:
            return 0, 0
        return sum(sources.values()), max(sources, key=lambda node: sources[node])

    # -- serving --------------------------------------------------------------------

    def pull(self, message: Pull) -> list[NodeEffect]:
        """Another node wants bytes of a slot of ours."""
        if not self._storage.books.is_live(message.slot):
            why = "the object has been freed there"
            return [Send(message.sender, Chunk(self._me, message.token, message.start, why))]
        size = min(message.size, message.slot.size - message.start)
        answer = Chunk(self._me, message.token, message.start)
        return [SendBulk(message.sender, answer, message.slot, message.start, size)]

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
        for key in [key for key in self._by_key if key[0] == owner]:
            transfer = self._by_key.pop(key)
            self._by_token = {t: x for t, x in self._by_token.items() if x is not transfer}
            out.extend(self._answer(transfer, None, DEAD_OWNER, Why.OWNER_DIED))
        self._copies = {key: slot for key, slot in self._copies.items() if key[0] != owner}
        return out

    def node_lost(self, node: int, now: float) -> list[NodeEffect]:
        """Whatever came from a lost node comes from another, or fails."""
        out: list[NodeEffect] = []
        for transfer in list(self._by_key.values()):
            if transfer.local is None or not transfer.sources:
                continue
            if transfer.sources[0].node == node:
                out.extend(self._begin(transfer, now))
        return out

    def freed(self, slots: list[Slot]) -> None:
        """Slots of this store were freed: forget copies in them."""
        gone = set(slots)
        self._copies = {key: slot for key, slot in self._copies.items() if slot not in gone}

    def tick(self, now: float) -> list[NodeEffect]:
        """Ask again for what did not come."""
        out: list[NodeEffect] = []
        for token, transfer in self._by_token.items():
            if now >= transfer.last + STALL:
                transfer.last = now
                transfer.missing.extend(sorted(transfer.asked, reverse=True))
                transfer.asked.clear()
                out.extend(self._pull(transfer, token))
        return out

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min((t.last + STALL for t in self._by_token.values()), default=None)
