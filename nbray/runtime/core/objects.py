"""A client's objects: those it owns, those it borrows, and who holds what.

Owns states, counts and borrowers. Does not own tasks (an entry only carries
the task that makes it) or memory (slots are names; the shell maps them).

Rules. The process that made a reference owns the object. An entry lives while
anything holds it: references of this process, pins (tasks that take it as an
argument, objects that contain it, views over its bytes), or borrowers. A
borrower is noted before whoever passed the reference on lets go: along one
path messages keep their order, and across paths the passer waits for
`Unpinned`, which the receiver sends when the owner has acknowledged.

Counts arrive through two deques (`added`, `dropped`), filled by any thread with
single appends and emptied under the baton; additions are taken first, so a
count is never negative.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from nbray.ids import node_client, node_of
from nbray.runtime.core.effects import Effect, Send
from nbray.wire.messages import (
    Borrow,
    Borrowed,
    Free,
    Held,
    Locate,
    Located,
    Moved,
    Ref,
    Release,
    Slot,
    Unpinned,
    Value,
    WhatHeld,
)

MOST_LOCATED = 4 << 20
"""Bytes of values after which the rest goes in a further message."""
PENDING, READY, STORED, FAILED, LIFE = range(5)
"""States of an entry; LIFE marks the life-reference of an actor, which has no value."""


_Many = type[Release] | type[Free] | type[Unpinned]
"""Messages about many objects at a time."""


class Waiter(Protocol):
    """Something that waits for entries: a `get`, a task's arguments, a remote client."""

    def settle(self, entry: Entry) -> None:
        """*entry* is no longer pending. Called once an entry it was put on."""


class Entry:
    """One object. `value` is bytes when READY, a `Value` when STORED or FAILED."""

    __slots__ = ("asked", "borrowers", "count", "key", "local", "maker", "refs", "state",
                 "value", "waiters")  # fmt: skip

    def __init__(self, key: Ref, count: int, state: int = PENDING, value: Any = None) -> None:
        self.key = key
        self.count = count
        self.state = state
        self.value = value
        self.waiters: Any = None
        """None, one waiter, or a list of them."""
        self.borrowers: set[int] | None = None
        self.refs: tuple[Ref, ...] = ()
        """References inside the value, held as long as the entry lives."""
        self.maker: Any = None
        """The task that makes it (kept while stored: lineage), or the actor it is the life of."""
        self.asked = False
        """Foreign: `Locate` was sent."""
        self.local: Slot | None = None
        """The slot on this node, once known."""


class Objects:
    """All objects of client *me* on node *node*."""

    def __init__(self, me: int, node: int) -> None:
        self.me = me
        self.node = node
        self.owned: dict[int, Entry] = {}
        self.foreign: dict[Ref, Entry] = {}
        self.added: deque[Ref] = deque()
        self.dropped: deque[Ref] = deque()
        self.on_life_end: Callable[[Entry], list[Effect]] = lambda _entry: []
        self.on_foreign_end: Callable[[Entry], list[Effect]] = lambda _entry: []
        self._unacknowledged: dict[Ref, int] = {}
        self._tokens: dict[int, list[Ref]] = {}
        self._token = 0
        self._waiting_for_ack: dict[Ref, list[_PutOff]] = {}
        self._batch: list[Effect] = []
        """The effects in which messages about many objects are gathered now, see `_gather`."""
        self._gathered: dict[tuple[int, type], list[Any]] = {}
        self._lent: dict[tuple[int, int], tuple[Ref, ...]] = {}
        """(receiver, task) -> references passed along, held until `Unpinned`.

        The task is positive for arguments (our number), negative for results (theirs)."""
        self._located: defaultdict[int, list[tuple[int, Value]]] = defaultdict(list)
        self._dead: dict[int, bytes] = {}
        """Clients that are dead: the packed error of what they owned."""
        self._dead_nodes: dict[int, bytes] = {}
        """The same of whole nodes: whoever lived there is dead, known here or not."""
        self._orphans: dict[tuple[int, int], set[Slot]] = {}
        """(node, dead owner) -> slots that this client was still viewing when it last said so."""

    @property
    def restless(self) -> bool:
        """Whether there are counts to settle or answers to send."""
        return bool(self.added or self.dropped or self._located)

    # -- finding ---------------------------------------------------------------

    def find(self, key: Ref) -> Entry | None:
        """The entry of *key*, if this client holds it."""
        return self.owned.get(key[1]) if key[0] == self.me else self.foreign.get(key)

    def require(self, key: Ref) -> Entry:
        """The entry of *key*; a new foreign one if it was never seen (its count is 0)."""
        entry = self.find(key)
        if entry is None:
            entry = Entry(key, 0)
            if key[0] == self.me:
                # Freed by its owner while a stale copy of the name lived on.
                entry.state, entry.value = FAILED, None
                self.owned[key[1]] = entry
            else:
                self.foreign[key] = entry
        return entry

    @property
    def in_use(self) -> bool:
        """Whether others may depend on this process for objects."""
        return bool(self.owned or self._lent)

    def lost(self, client: int) -> bytes | None:
        """The packed error of what a dead client owned; None if it is not known to be dead."""
        lost = self._dead.get(client)
        return lost if lost is not None else self._dead_nodes.get(node_of(client))

    # -- counts ----------------------------------------------------------------

    def hold(self, keys: Iterable[Ref]) -> None:
        """Count these up (in any thread)."""
        self.added.extend(keys)

    def drop(self, keys: Iterable[Ref]) -> None:
        """Count these down (in any thread)."""
        self.dropped.extend(keys)

    def settle_counts(self, drops: int) -> list[Effect]:
        """Take all additions that have gathered, then the first *drops* drops.

        A drop may be taken only when everything that was submitted before it has
        noted what it holds, so *drops* is counted before `submitted` is emptied.
        """
        effects = self.settle_added()
        dropped = self.dropped
        if drops:
            owned, me = self.owned, self.me
            popleft = dropped.popleft
            for _ in range(drops):
                key = popleft()
                entry = owned.get(key[1]) if key[0] == me else self.foreign.get(key)
                if entry is None:
                    continue
                entry.count -= 1
                if entry.count <= 0:
                    self._maybe_free(entry, effects)
        return effects

    def settle_added(self) -> list[Effect]:
        """Take all additions; owners hear of what is new here."""
        effects: list[Effect] = []
        if not self.added:
            return effects
        fresh: defaultdict[int, list[int]] = defaultdict(list)
        owned, foreign, me = self.owned, self.foreign, self.me
        popleft = self.added.popleft
        for _ in range(len(self.added)):
            key = popleft()
            entry = owned.get(key[1]) if key[0] == me else foreign.get(key)
            if entry is None:
                entry = self.require(key)
            entry.count += 1
            if entry.count == 1 and key[0] != me:
                lost = self.lost(key[0])
                if lost is None:
                    fresh[key[0]].append(key[1])
                elif entry.state == PENDING:
                    effects += self.resolve(entry, Value(lost, failed=True))
        for owner, seqs in fresh.items():
            self._token += 1
            keys = [(owner, seq) for seq in seqs]
            self._tokens[self._token] = keys
            for key in keys:
                self._unacknowledged[key] = self._token
            effects.append(Send(owner, Borrow(self.me, seqs, self._token)))
        return effects

    def _maybe_free(self, entry: Entry, effects: list[Effect]) -> None:
        if entry.count > 0 or entry.borrowers:
            return
        if entry.state == PENDING and entry.key[0] == self.me and entry.maker is not None:
            return  # its task still runs; freed when it ends
        self._free(entry, effects)

    def _free(self, entry: Entry, effects: list[Effect]) -> None:
        owner, seq = entry.key
        if owner == self.me:
            if self.owned.pop(seq, None) is None:
                return
            if entry.state == STORED:
                for slot in entry.value.slots:
                    self._gather(effects, node_client(slot.node), Free, slot)
            elif entry.state == LIFE:
                effects += self.on_life_end(entry)
            elif entry.state == FAILED:
                effects += self.on_foreign_end(entry)  # a stale name, maybe of a dead actor of ours
        else:
            if self.foreign.pop(entry.key, None) is None:
                return
            self._after_ack({entry.key, *entry.refs}, owner, Release, seq, effects)
            effects += self.on_foreign_end(entry)
        entry.maker = None
        if entry.refs:
            self.dropped.extend(entry.refs)
            entry.refs = ()

    def free_slots(self, slots: Iterable[Slot]) -> list[Effect]:
        """Tell the nodes that hold these slots that nothing refers to them."""
        by_node: defaultdict[int, list[Slot]] = defaultdict(list)
        for slot in slots:
            by_node[slot.node].append(slot)
        return [Send(node_client(node), Free(self.me, some)) for node, some in by_node.items()]

    def unknown(self, slots: list[Slot]) -> list[Slot]:
        """Those of *slots* in which no object of ours lies."""
        mine = {s for e in list(self.owned.values()) if e.state == STORED for s in e.value.slots}
        return [slot for slot in slots if slot not in mine]

    # -- borrowing ----------------------------------------------------------------

    def _gather(self, effects: list[Effect], to: int, kind: _Many, one: Any) -> None:
        """Tell *to* about one more object; once in *effects*, however many there are."""
        if self._batch is not effects:
            self._batch, self._gathered = effects, {}
        many = self._gathered.get((to, kind))
        if many is None:
            many = self._gathered[to, kind] = [one]
            effects.append(Send(to, kind(self.me, many)))
        else:
            many.append(one)

    def _after_ack(
        self, keys: set[Ref], to: int, kind: _Many, one: int, effects: list[Effect]
    ) -> None:
        """Tell *to* of *one* when the owners of all *keys* know of this client's borrow."""
        if self.lost(to) is not None:
            return
        missing = [key for key in keys if key in self._unacknowledged]
        if not missing:
            self._gather(effects, to, kind, one)
            return
        put_off = _PutOff(len(missing), to, kind, one)
        for key in missing:
            self._waiting_for_ack.setdefault(key, []).append(put_off)

    def acknowledged(self, message: Borrowed) -> list[Effect]:
        """An owner has noted our borrows."""
        effects: list[Effect] = []
        for key in self._tokens.pop(message.token, ()):
            if self._unacknowledged.get(key) == message.token:
                del self._unacknowledged[key]
            self._acknowledge(key, effects)
        return effects

    def _acknowledge(self, key: Ref, effects: list[Effect]) -> None:
        for put_off in self._waiting_for_ack.pop(key, ()):
            put_off.missing -= 1
            if not put_off.missing and self.lost(put_off.to) is None:
                self._gather(effects, put_off.to, put_off.kind, put_off.one)

    def borrow(self, message: Borrow) -> list[Effect]:
        """Another client holds references to objects of ours."""
        if self.lost(message.sender) is not None:
            return []
        for seq in message.seqs:
            entry = self.owned.get(seq)
            if entry is not None:
                if entry.borrowers is None:
                    entry.borrowers = set()
                entry.borrowers.add(message.sender)
        if message.token:
            return [Send(message.sender, Borrowed(self.me, message.token))]
        return []

    def release(self, message: Release) -> list[Effect]:
        """A borrower has let go."""
        effects: list[Effect] = []
        for seq in message.seqs:
            entry = self.owned.get(seq)
            if entry is not None and entry.borrowers:
                entry.borrowers.discard(message.sender)
                self._maybe_free(entry, effects)
        return effects

    def lend(self, receiver: int, task: int, refs: tuple[Ref, ...]) -> None:
        """Keep *refs*, which are held, for *receiver*, who has them by *task*, till `Unpinned`."""
        key = (receiver, task)
        self._lent[key] = self._lent.get(key, ()) + refs

    def unpinned(self, sender: int, seqs: Iterable[int]) -> None:
        """The receiver of references has made its own borrows known."""
        for seq in seqs:
            self.drop(self._lent.pop((sender, seq), ()))

    def confirm(self, sender: int, task: int, refs: Iterable[Ref], effects: list[Effect]) -> None:
        """Send `Unpinned` for *task* to *sender* once our borrows of *refs* are known."""
        self._after_ack(set(refs), sender, Unpinned, task, effects)

    # -- values ----------------------------------------------------------------------

    def resolve(self, entry: Entry, value: Value) -> list[Effect]:
        """A pending entry gets its value or error; its waiters are told."""
        if entry.state != PENDING:
            return []
        if value.refs:
            entry.refs = tuple(value.refs)
            self.hold(entry.refs)
        if value.failed:
            entry.state, entry.value = FAILED, value
        elif value.slots:
            entry.state, entry.value = STORED, value
            for slot in value.slots:
                if slot.node == self.node:
                    entry.local = slot
        else:
            entry.state, entry.value = READY, value.data
        return self.tell(entry)

    def tell(self, entry: Entry) -> list[Effect]:
        """Settle the waiters of an entry that is ready; free it if nobody holds it."""
        waiters, entry.waiters = entry.waiters, None
        if waiters is not None:
            if type(waiters) is list:
                for waiter in waiters:
                    waiter.settle(entry)
            else:
                waiters.settle(entry)
        effects: list[Effect] = []
        if entry.count <= 0:
            self._maybe_free(entry, effects)
        return effects

    def value_of(self, entry: Entry) -> Value:
        """A settled entry's value as it travels."""
        if entry.state == READY:
            return Value(entry.value, [], list(entry.refs))
        if entry.value is None:
            return Value(b"", failed=True)
        value: Value = entry.value
        return value

    @staticmethod
    def put_waiter(entry: Entry, waiter: Waiter) -> None:
        """Have *waiter* told when the pending *entry* is ready."""
        if entry.waiters is None:
            entry.waiters = waiter
        elif type(entry.waiters) is list:
            entry.waiters.append(waiter)
        else:
            entry.waiters = [entry.waiters, waiter]

    @staticmethod
    def remove_waiter(entry: Entry, waiter: Waiter) -> None:
        """Forget *waiter* (a `get` that timed out)."""
        if entry.waiters is waiter:
            entry.waiters = None
        elif type(entry.waiters) is list:
            entry.waiters = [other for other in entry.waiters if other is not waiter] or None

    def ask(self, entries: Iterable[Entry]) -> list[Effect]:
        """Ask the owners of foreign pending entries for their values, once each."""
        asked: defaultdict[int, list[int]] = defaultdict(list)
        for entry in entries:
            owner, seq = entry.key
            if owner != self.me and entry.state == PENDING and not entry.asked:
                entry.asked = True
                asked[owner].append(seq)
        return [Send(owner, Locate(self.me, seqs)) for owner, seqs in asked.items()]

    def locate(self, message: Locate) -> list[Effect]:
        """A borrower wants values; answers now or when they are ready."""
        for seq in message.seqs:
            entry = self.owned.get(seq)
            if entry is None:
                self._located[message.sender].append((seq, Value(b"", failed=True)))
            elif entry.state == PENDING:
                self.put_waiter(entry, _RemoteWaiter(self, message.sender))
            else:
                self._located[message.sender].append((seq, self.value_of(entry)))
        return []

    def located_later(self, client: int, entry: Entry) -> None:
        """Note an answer for *client*; sent by the next `answers`."""
        if self.lost(client) is not None:
            return
        self._located[client].append((entry.key[1], self.value_of(entry)))

    def answers(self) -> list[Effect]:
        """`Located` messages that have gathered. The last step of a pump."""
        if self._gathered:
            self._batch, self._gathered = [], {}
        if not self._located:
            return []
        effects: list[Effect] = []
        for client, values in self._located.items():
            first = size = 0
            for index, (_, value) in enumerate(values):
                size += len(value.data)
                if size > MOST_LOCATED:
                    effects.append(Send(client, Located(self.me, values[first : index + 1])))
                    first, size = index + 1, 0
            if first < len(values):
                effects.append(Send(client, Located(self.me, values[first:])))
        self._located.clear()
        return effects

    def located(self, message: Located) -> list[Effect]:
        """An owner answers `Locate`."""
        effects: list[Effect] = []
        for seq, value in message.values:
            entry = self.foreign.get((message.sender, seq))
            if entry is not None:
                effects += self.resolve(entry, value)
        return effects

    def moved(self, message: Moved) -> list[Effect]:
        """A copy of an object of ours was made on another node."""
        entry = self.owned.get(message.seq)
        if entry is None or entry.state != STORED:
            return self.free_slots([message.slot])
        value: Value = entry.value
        if message.slot not in value.slots:
            entry.value = Value(b"", [*value.slots, message.slot], value.refs)
        if message.slot.node == self.node:
            entry.local = message.slot
        return []

    def fetched(self, key: Ref, slot: Slot) -> None:
        """This node now has a copy of *key*; the node itself has told its owner (`Moved`)."""
        entry = self.find(key)
        if entry is not None and entry.state == STORED:
            entry.local = slot

    # -- death -------------------------------------------------------------------------

    def client_died(self, client: int, error: bytes) -> list[Effect]:
        """A client is dead: its borrows end, and what it owned is lost unless known here."""
        self._dead[client] = error
        return self._died(lambda other: other == client, error)

    def node_died(self, node: int, error: bytes) -> list[Effect]:
        """A node is gone, with every client on it."""
        if node in self._dead_nodes:
            return []
        self._dead_nodes[node] = error
        return self._died(lambda other: node_of(other) == node, error)

    def _died(self, dead: Callable[[int], bool], error: bytes) -> list[Effect]:
        effects: list[Effect] = []
        for entry in list(self.owned.values()):
            if entry.borrowers and any(dead(client) for client in entry.borrowers):
                entry.borrowers = {client for client in entry.borrowers if not dead(client)}
                self._maybe_free(entry, effects)
        for lent in [lent for lent in self._lent if dead(lent[0])]:
            self.drop(self._lent.pop(lent))
        for client in [client for client in self._located if dead(client)]:
            del self._located[client]
        for key in [key for key in self._unacknowledged if dead(key[0])]:
            self._tokens.pop(self._unacknowledged.pop(key), None)
            self._acknowledge(key, effects)
        for entry in [e for key, e in self.foreign.items() if dead(key[0])]:
            if entry.state == PENDING:
                effects += self.resolve(entry, Value(error, failed=True))
        return effects

    def what_held(self, message: WhatHeld, viewed: set[Slot]) -> list[Effect]:
        """Answer the node: which slots of a dead owner are still viewed here."""
        kept = [slot for slot in message.slots if slot in viewed]
        if kept:
            self._orphans[message.sender, message.owner] = set(kept)
        return [Send(message.sender, Held(self.me, message.owner, kept))]

    def let_go(self, viewed: Callable[[], set[Slot]]) -> list[Effect]:
        """Tell the nodes of dead owners' slots that this client has stopped viewing."""
        effects: list[Effect] = []
        if self._orphans:
            now = viewed()
            for (node, owner), held in list(self._orphans.items()):
                still = held & now
                if still != held:
                    effects.append(Send(node, Held(self.me, owner, list(still))))
                    self._orphans[node, owner] = still
                if not still:
                    del self._orphans[node, owner]
        return effects


class _PutOff:
    """Something that *to* is told when *missing* owners have answered."""

    __slots__ = ("kind", "missing", "one", "to")

    def __init__(self, missing: int, to: int, kind: _Many, one: int) -> None:
        self.missing = missing
        self.to = to
        self.kind = kind
        self.one = one


class _RemoteWaiter:
    """A client elsewhere that asked for an object of ours."""

    __slots__ = ("_client", "_objects")

    def __init__(self, objects: Objects, client: int) -> None:
        self._objects = objects
        self._client = client

    def settle(self, entry: Entry) -> None:
        self._objects.located_later(self._client, entry)
