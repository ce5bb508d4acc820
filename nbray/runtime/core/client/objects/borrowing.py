"""References as they pass between clients: who is told of what, when, and who is dead.

Owns borrows that their owners have not acknowledged, what waits for that, what is
lent until its receiver has spoken, and the slots of dead owners that are still viewed here.
Does not own entries or their counts (`objects`).

Rule: a borrower is noted before whoever passed the reference on lets go. Along one
path messages keep their order, and across paths the passer waits for `Unpinned`,
which the receiver sends when the owner has acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nbray.ids import node_of
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Borrow, Free, Held, Ref, Release, Slot, Unpinned, WhatHeld

LOOK_SECONDS = 1.0
"""Seconds between two looks, by a client at rest, at what it views of dead owners."""

Many = type[Release] | type[Free] | type[Unpinned]
"""Messages about many objects at a time."""


class Borrowing:
    """What client *me* and others tell each other of the references that they hold."""

    def __init__(self, me: int) -> None:
        self.me = me
        self.unacknowledged: dict[Ref, int] = {}
        """Borrows of which the owner has not said that it has noted them, with their token."""
        self.put_off: dict[Ref, list[_PutOff]] = {}
        """What is told when the owner of this object has noted our borrow."""
        self.lent: dict[tuple[int, int], tuple[Ref, ...]] = {}
        """(receiver, task) -> references passed along, held until `Unpinned`.

        The task is positive for arguments (our number), negative for results (theirs)."""
        self.tokens: dict[int, list[Ref]] = {}
        self._token = 0
        self._batch: list[ClientEffect] = []
        """The effects in which messages about many objects are gathered now, see `gather`."""
        self._gathered: dict[tuple[int, type], list[Any]] = {}
        self._dead: dict[int, bytes] = {}
        """Clients that are dead: the packed error of what they owned."""
        self._dead_nodes: dict[int, bytes] = {}
        """The same of whole nodes: whoever lived there is dead, known here or not."""

    # -- borrows ---------------------------------------------------------------

    def announce(self, owner: int, seqs: list[int]) -> ClientEffect:
        """Tell an owner that this client holds references to its objects now."""
        self._token += 1
        keys = [(owner, seq) for seq in seqs]
        self.tokens[self._token] = keys
        for key in keys:
            self.unacknowledged[key] = self._token
        return Send(owner, Borrow(self.me, seqs, self._token))

    def acknowledged(self, token: int) -> list[ClientEffect]:
        """An owner has noted the borrows of one announcement."""
        effects: list[ClientEffect] = []
        for key in self.tokens.pop(token, ()):
            if self.unacknowledged.get(key) == token:
                del self.unacknowledged[key]
            self._acknowledge(key, effects)
        return effects

    def _acknowledge(self, key: Ref, effects: list[ClientEffect]) -> None:
        for put_off in self.put_off.pop(key, ()):
            put_off.missing -= 1
            if not put_off.missing and self.lost(put_off.to) is None:
                self.gather(effects, put_off.to, put_off.kind, put_off.one)

    def after_ack(
        self, keys: set[Ref], to: int, kind: Many, one: int, effects: list[ClientEffect]
    ) -> None:
        """Tell *to* of *one* when the owners of all *keys* know of this client's borrow."""
        if self.lost(to) is not None:
            return
        missing = [key for key in keys if key in self.unacknowledged]
        if not missing:
            self.gather(effects, to, kind, one)
            return
        put_off = _PutOff(len(missing), to, kind, one)
        for key in missing:
            self.put_off.setdefault(key, []).append(put_off)

    def gather(self, effects: list[ClientEffect], to: int, kind: Many, one: Any) -> None:
        """Tell *to* about one more object; once in *effects*, however many there are."""
        if self._batch is not effects:
            self._batch, self._gathered = effects, {}
        many = self._gathered.get((to, kind))
        if many is None:
            many = self._gathered[to, kind] = [one]
            effects.append(Send(to, kind(self.me, many)))
        else:
            many.append(one)

    def gathered(self) -> None:
        """These effects are complete: what is gathered from now on goes into others."""
        if self._gathered:
            self._batch, self._gathered = [], {}

    # -- loans -----------------------------------------------------------------

    def lend(self, receiver: int, task: int, refs: tuple[Ref, ...]) -> None:
        """Keep *refs*, which are held, for *receiver*, who has them by *task*, till `Unpinned`."""
        key = (receiver, task)
        self.lent[key] = self.lent.get(key, ()) + refs

    def returned(self, receiver: int, seqs: Iterable[int]) -> list[Ref]:
        """The receiver has made its own borrows known: what need no longer be held for it."""
        return [ref for seq in seqs for ref in self.lent.pop((receiver, seq), ())]

    # -- death -----------------------------------------------------------------

    def lost(self, client: int) -> bytes | None:
        """The packed error of what a dead client owned; None if it is not known to be dead."""
        lost = self._dead.get(client)
        return lost if lost is not None else self._dead_nodes.get(node_of(client))

    def client_died(self, client: int, error: bytes) -> None:
        """A client is dead: *error* is that of what it owned."""
        self._dead[client] = error

    def node_died(self, node: int, error: bytes) -> bool:
        """A node is dead, with every client on it; whether that is news."""
        if node in self._dead_nodes:
            return False
        self._dead_nodes[node] = error
        return True

    def forget(self, dead: Callable[[int], bool], effects: list[ClientEffect]) -> list[Ref]:
        """Nobody waits for the dead; what was held for them."""
        free: list[Ref] = []
        for lent in [lent for lent in self.lent if dead(lent[0])]:
            free += self.lent.pop(lent)
        for key in [key for key in self.unacknowledged if dead(key[0])]:
            self.tokens.pop(self.unacknowledged.pop(key), None)
            self._acknowledge(key, effects)
        return free


class Orphans:
    """Slots of dead owners that client *me* still views: their nodes keep them so long."""

    def __init__(self, me: int) -> None:
        self.me = me
        self._held: dict[tuple[int, int], set[Slot]] = {}
        """(node, dead owner) -> slots that this client was still viewing when it last said so."""
        self.due: float | None = None
        """When to look again what is viewed still, though nothing else happens."""

    def what_held(self, message: WhatHeld, viewed: set[Slot], now: float) -> list[ClientEffect]:
        """Answer the node: which slots of a dead owner are still viewed here."""
        kept = [slot for slot in message.slots if slot in viewed]
        if kept:
            self._held[message.sender, message.owner] = set(kept)
            self.due = now + LOOK_SECONDS
        return [Send(message.sender, Held(self.me, message.owner, kept))]

    def let_go(self, viewed: Callable[[], set[Slot]], now: float) -> list[ClientEffect]:
        """Tell the nodes of those that this client has stopped viewing."""
        effects: list[ClientEffect] = []
        if self._held:
            seen = viewed()
            for (node, owner), held in list(self._held.items()):
                still = held & seen
                if still != held:
                    effects.append(Send(node, Held(self.me, owner, list(still))))
                    self._held[node, owner] = still
                if not still:
                    del self._held[node, owner]
            self.due = now + LOOK_SECONDS if self._held else None
        return effects


class _PutOff:
    """Something that *to* is told when *missing* owners have answered."""

    __slots__ = ("kind", "missing", "one", "to")

    def __init__(self, missing: int, to: int, kind: Many, one: int) -> None:
        self.missing = missing
        self.to = to
        self.kind = kind
        self.one = one
