"""A client's objects: those it owns, those it borrows, and who holds what.

Owns states, counts and borrowers, and is the only writer of entries. Does not own
tasks (an entry only carries the task that makes it), memory (slots are names; the
shell maps them), or what clients tell each other of references (`borrowing`).

Rules. The process that made a reference owns the object. An entry lives while
anything holds it: references of this process, pins (tasks that take it as an
argument, objects that contain it, views over its bytes), or borrowers.

An entry begins by `promise` (a task will make it), `keep` or `store` (it is here
already), or `require` (somebody named it), and goes on as the table `NEXT` says:
by `settle` or `resolve` to a value or error, by `lose` to the error of a dead owner,
by `live` to an actor's life. It ends when nothing holds it. One of which the last copy is gone
is pending again (`without`), and may be made once more (`lineage`), maybe after it had ended
(`promise_again`, `have_again`).

Counts arrive through two deques (`added`, `dropped`), filled by any thread with
single appends and emptied under the baton; additions are taken first, so a
count is never negative. `promise`, `keep` and `store` may be called in any thread, too.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from nbray.ids import node_client, node_of
from nbray.runtime.core.client.objects.borrowing import Borrowing
from nbray.runtime.core.client.objects.entry import (
    FAILED,
    LIFE,
    NEXT,
    PENDING,
    READY,
    STORED,
    Entry,
    Waiter,
)
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import (
    Borrow,
    Borrowed,
    Free,
    Locate,
    Located,
    Moved,
    Ref,
    Release,
    Slot,
    Unpinned,
    Value,
)

__all__ = ["FAILED", "LIFE", "MOST_RETURNS", "MULTI", "NEXT", "PENDING", "READY", "STORED",
           "Entry", "Objects", "Waiter"]  # fmt: skip

MULTI = 1 << 48
"""Objects that are made several at a time are numbered from here, in blocks of `MOST_RETURNS`."""
MOST_RETURNS = 1 << 16


class Objects:
    """All objects of client *me* on node *node*."""

    def __init__(self, me: int, node: int) -> None:
        self.me = me
        self.node = node
        self.owned: dict[int, Entry] = {}
        self.foreign: dict[Ref, Entry] = {}
        self.added: deque[Ref] = deque()
        self.dropped: deque[Ref] = deque()
        self.on_life_end: Callable[[Entry], list[ClientEffect]] = lambda _entry: []
        self.on_foreign_end: Callable[[Entry], list[ClientEffect]] = lambda _entry: []
        self.on_stored: Callable[[Entry], None] = lambda _entry: None
        """An object of ours that a task made lies in the store now."""
        self.on_stored_end: Callable[[Entry], None] = lambda _entry: None
        """Nothing holds one of those any more."""
        self.again: dict[int, Any] = {}
        """Tasks that run again for what was lost, by number."""
        self.numbers = itertools.count(1)
        """Of further objects of ours."""
        self.blocks = itertools.count(MULTI, MOST_RETURNS)
        """The first numbers of further blocks."""
        self._borrowing = borrowing = Borrowing(me)
        self.lost = borrowing.lost
        """The packed error of what a dead client owned; None if it is not known to be dead."""
        self.lend = borrowing.lend
        """Keep references, which are held, for who has them by a task, till `Unpinned`."""
        self._gather = borrowing.gather
        self.gathered = borrowing.gathered
        """The effects of a pump are complete: nothing more is gathered into its messages."""

    @property
    def restless(self) -> bool:
        """Whether there are counts to settle."""
        return bool(self.added or self.dropped)

    # -- finding ---------------------------------------------------------------

    def find(self, key: Ref) -> Entry | None:
        """The entry of *key*, if this client holds it."""
        return self.owned.get(key[1]) if key[0] == self.me else self.foreign.get(key)

    def require(self, key: Ref) -> Entry:
        """The entry of *key*; a new foreign one if it was never seen (its count is 0)."""
        entry = self.find(key)
        if entry is None:
            if key[0] == self.me:
                # Freed by its owner while a stale copy of the name lived on.
                entry = self.owned[key[1]] = Entry(key, 0, FAILED)
            else:
                entry = self.foreign[key] = Entry(key, 0)
        return entry

    def making(self, seq: int) -> Any:
        """The unfinished task that makes an object of ours; None if there is none."""
        entry = self.owned.get(seq)
        return entry.maker if entry is not None and entry.state == PENDING else None

    def running(self, seq: int) -> Any:
        """The unfinished task of this number; None if there is none."""
        entry = self.owned.get(seq)
        if entry is not None and entry.state == PENDING and entry.maker is not None:
            return entry.maker
        return self.again.get(seq)

    @property
    def in_use(self) -> bool:
        """Whether others may depend on this process for objects."""
        return bool(self.owned or self._borrowing.lent)

    # -- counts ----------------------------------------------------------------

    def hold(self, keys: Iterable[Ref]) -> None:
        """Count these up (in any thread)."""
        self.added.extend(keys)

    def drop(self, keys: Iterable[Ref]) -> None:
        """Count these down (in any thread)."""
        self.dropped.extend(keys)

    def settle_counts(self, drops: int) -> list[ClientEffect]:
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

    def settle_added(self) -> list[ClientEffect]:
        """Take all additions; owners hear of what is new here."""
        effects: list[ClientEffect] = []
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
                else:
                    effects += self.lose(entry, lost)
        for owner, seqs in fresh.items():
            effects.append(self._borrowing.announce(owner, seqs))
        return effects

    def _maybe_free(self, entry: Entry, effects: list[ClientEffect]) -> None:
        if entry.count > 0 or entry.borrowers:
            return
        if entry.state == PENDING and entry.key[0] == self.me and entry.maker is not None:
            return  # its task still runs; freed when it ends
        self._free(entry, effects)

    def _free(self, entry: Entry, effects: list[ClientEffect]) -> None:
        owner, seq = entry.key
        if owner == self.me:
            if self.owned.pop(seq, None) is None:
                return
            if entry.state == STORED:
                for slot in entry.value.slots:
                    self._gather(effects, node_client(slot.node), Free, slot)
                if entry.maker is not None:
                    self.on_stored_end(entry)
            elif entry.state == LIFE:
                effects += self.on_life_end(entry)
            elif entry.state == FAILED:
                effects += self.on_foreign_end(entry)  # a stale name, maybe of a dead actor of ours
        else:
            if self.foreign.pop(entry.key, None) is None:
                return
            self._borrowing.after_ack({entry.key, *entry.refs}, owner, Release, seq, effects)
            effects += self.on_foreign_end(entry)
        entry.maker = None
        if entry.refs:
            self.dropped.extend(entry.refs)
            entry.refs = ()

    def free_slots(self, slots: Iterable[Slot]) -> list[ClientEffect]:
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

    def acknowledged(self, message: Borrowed) -> list[ClientEffect]:
        """An owner has noted our borrows."""
        return self._borrowing.acknowledged(message.token)

    def borrow(self, message: Borrow) -> list[ClientEffect]:
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

    def release(self, message: Release) -> list[ClientEffect]:
        """A borrower has let go."""
        effects: list[ClientEffect] = []
        for seq in message.seqs:
            entry = self.owned.get(seq)
            if entry is not None and entry.borrowers:
                entry.borrowers.discard(message.sender)
                self._maybe_free(entry, effects)
        return effects

    def unpinned(self, sender: int, seqs: Iterable[int]) -> None:
        """The receiver of references has made its own borrows known."""
        self.drop(self._borrowing.returned(sender, seqs))

    def confirm(
        self, sender: int, task: int, refs: Iterable[Ref], effects: list[ClientEffect]
    ) -> None:
        """Send `Unpinned` for *task* to *sender* once our borrows of *refs* are known."""
        self._borrowing.after_ack(set(refs), sender, Unpinned, task, effects)

    # -- beginnings (any thread) -----------------------------------------------------

    def promise(self, task: Any, first: int, returns: int) -> None:
        """*task* makes the *returns* objects from number *first*, each held once."""
        me, owned = self.me, self.owned
        if returns == 1:
            entry = owned[first] = Entry((me, first), 1)
            entry.maker = task
            return
        # A task without returns has an entry by which its end is known, held by nobody.
        for seq in range(first, first + max(1, returns)):
            entry = Entry((me, seq), 1 if returns else 0)
            entry.maker = task
            owned[seq] = entry

    def keep(self, data: bytes, refs: tuple[Ref, ...]) -> int:
        """The number of a further object of ours, held once: *data*, which contains *refs*."""
        seq = next(self.numbers)
        entry = Entry((self.me, seq), 1, READY, data)
        if refs:
            entry.refs = refs
            self.hold(refs)
        self.owned[seq] = entry
        return seq

    def have(self, seq: int, data: bytes) -> None:
        """*data* is a further object of ours, held once; its number was known before."""
        self.owned[seq] = Entry((self.me, seq), 1, READY, data)

    def store(self, value: Value, *, argument: bool = False) -> int:
        """The number of a further object of ours, which lies in the first slot of *value*.

        It is held once. The *arguments* of a task are held by its pins alone, which hold
        what is in them, too.
        """
        seq = next(self.numbers)
        entry = Entry((self.me, seq), 0 if argument else 1, STORED, value)
        entry.local = value.slots[0]
        if value.refs and not argument:
            entry.refs = tuple(value.refs)
            self.hold(entry.refs)
        self.owned[seq] = entry
        return seq

    # -- values ----------------------------------------------------------------------

    def live(self, seq: int) -> None:
        """The promised object *seq* is the life of an actor."""
        entry = self.owned[seq]
        self._become(entry, LIFE, None)
        entry.maker = None

    def settle(self, entry: Entry, data: bytes, effects: list[ClientEffect]) -> None:
        """A pending entry of ours gets a small value in which no references are."""
        entry.maker = None
        entry.state = READY
        entry.value = data
        if entry.waiters is not None or entry.count <= 0:
            effects += self.tell(entry)

    def resolve(self, entry: Entry, value: Value) -> list[ClientEffect]:
        """A pending entry gets its value or error; its waiters are told."""
        if entry.state != PENDING:
            return []
        if value.refs:
            entry.refs = tuple(value.refs)
            self.hold(entry.refs)
        if value.failed:
            self._become(entry, FAILED, value)
        elif value.slots:
            self._become(entry, STORED, value)
            for slot in value.slots:
                if slot.node == self.node:
                    entry.local = slot
            if entry.maker is not None:
                self.on_stored(entry)
        else:
            self._become(entry, READY, value.data)
        if not value.slots:
            entry.maker = None
        return self.tell(entry)

    def lose(self, entry: Entry, error: bytes) -> list[ClientEffect]:
        """The owner of a foreign entry is dead: what is not known here will not be."""
        return self.resolve(entry, Value(error, failed=True))

    @staticmethod
    def _become(entry: Entry, state: int, value: Any) -> None:
        if state not in NEXT[entry.state]:
            raise AssertionError(f"object {entry.key} cannot go from {entry.state} to {state}")
        entry.state = state
        entry.value = value

    def tell(self, entry: Entry) -> list[ClientEffect]:
        """Settle the waiters of an entry that is ready; free it if nobody holds it."""
        waiters, entry.waiters = entry.waiters, None
        if waiters is not None:
            if type(waiters) is list:
                for waiter in waiters:
                    waiter.settle(entry)
            else:
                waiters.settle(entry)
        effects: list[ClientEffect] = []
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

    def ask(self, entries: Iterable[Entry]) -> list[ClientEffect]:
        """Ask the owners of foreign pending entries for their values, once each."""
        asked: defaultdict[int, list[int]] = defaultdict(list)
        for entry in entries:
            owner, seq = entry.key
            if owner != self.me and entry.state == PENDING and not entry.asked:
                entry.asked = True
                asked[owner].append(seq)
        return [Send(owner, Locate(self.me, seqs)) for owner, seqs in asked.items()]

    def located(self, message: Located) -> list[ClientEffect]:
        """An owner answers `Locate`."""
        effects: list[ClientEffect] = []
        for seq, value in message.values:
            entry = self.foreign.get((message.sender, seq))
            if entry is not None:
                effects += self.resolve(entry, value)
        return effects

    def moved(self, message: Moved) -> list[ClientEffect]:
        """A copy of an object of ours was made on another node."""
        entry = self.owned.get(message.seq)
        if entry is None or entry.state != STORED:
            return self.free_slots([message.slot])
        if self.lost(node_client(message.slot.node)) is not None:
            return []  # the news came late: that node is gone
        value: Value = entry.value
        if message.slot not in value.slots:
            entry.value = Value(b"", [*value.slots, message.slot], value.refs)
        if message.slot.node == self.node:
            entry.local = message.slot
        return []

    @staticmethod
    def fetched(entry: Entry | None, slot: Slot) -> None:
        """This node now has a copy; the node itself has told its owner (`Moved`)."""
        if entry is not None and entry.state == STORED:
            entry.local = slot

    # -- copies that are gone ------------------------------------------------------------

    def without(self, entry: Entry, gone: Callable[[Slot], bool]) -> bool:
        """Forget copies of a stored object; whether none is left, so that it is pending again."""
        value: Value = entry.value
        left = [slot for slot in value.slots if not gone(slot)]
        local = entry.local
        if local is not None and gone(local):
            entry.local = None
        elif local is not None and local not in left:
            left.append(local)
        if left:
            if len(left) != len(value.slots):
                entry.value = Value(b"", left, value.refs)
            return False
        self._become(entry, PENDING, None)
        entry.asked = False
        refs, entry.refs = entry.refs, ()
        self.dropped.extend(refs)
        return True

    def without_node(self, node: int) -> list[Entry]:
        """A node is gone with its copies: the objects of which none is left."""
        entries = [*self.owned.values(), *self.foreign.values()]
        return [
            entry for entry in entries
            if entry.state == STORED and self.without(entry, lambda slot: slot.node == node)
        ]  # fmt: skip

    def promise_again(self, task: Any, seq: int) -> Entry:
        """*task*, which made an object of ours that has ended since, makes it once more."""
        entry = self.owned[seq] = Entry((self.me, seq), 0)
        entry.maker = task
        return entry

    def have_again(self, key: Ref, value: Value) -> None:
        """An object that has ended since, or was never known here, is this inline value."""
        entry = Entry(key, 0, READY, value.data)
        entry.refs = tuple(value.refs)
        self.hold(entry.refs)
        if key[0] == self.me:
            self.owned[key[1]] = entry
        else:
            self.foreign[key] = entry

    def made_by(self, entry: Entry, task: Any) -> None:
        """*entry*, about to be stored, is one of what *task* has yielded."""
        entry.maker = task

    # -- death -------------------------------------------------------------------------

    def client_died(self, client: int, error: bytes) -> list[ClientEffect]:
        """A client is dead: its borrows end, and what it owned is lost unless known here."""
        self._borrowing.client_died(client, error)
        return self._died(lambda other: other == client, error)

    def node_died(self, node: int, error: bytes) -> list[ClientEffect]:
        """A node is gone, with every client on it."""
        if not self._borrowing.node_died(node, error):
            return []
        return self._died(lambda other: node_of(other) == node, error)

    def _died(self, dead: Callable[[int], bool], error: bytes) -> list[ClientEffect]:
        effects: list[ClientEffect] = []
        for entry in list(self.owned.values()):
            if entry.borrowers and any(dead(client) for client in entry.borrowers):
                entry.borrowers = {client for client in entry.borrowers if not dead(client)}
                self._maybe_free(entry, effects)
        self.drop(self._borrowing.forget(dead, effects))
        for entry in [e for key, e in self.foreign.items() if dead(key[0])]:
            effects += self.lose(entry, error)
        return effects
