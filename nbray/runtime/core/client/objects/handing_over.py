"""Objects of one client of which a node that leaves has the only copy: they are brought elsewhere.

Owns what is being brought. Does not own the bringing (the nodes') nor the waiting (the node that
leaves; `core.node.drain`). Rules: the owner's own node is asked first, then the others; few
objects are on their way at a time; what fits nowhere is said to be so, and may be lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from functools import partial

from nbray.ids import node_client, node_of
from nbray.runtime.core.client.objects.objects import STORED, Entry, Objects
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Fetch, Fetched, Leaving, Saved, Slot

AT_ONCE = 4
"""Objects that are brought elsewhere at a time."""
TOKENS = 1 << 60
"""Its requests are numbered from here."""


class _Bringing:
    """One object that is to be brought to the first of *targets* that has room."""

    __slots__ = ("seq", "slot", "targets")

    def __init__(self, slot: Slot, seq: int, targets: list[int]) -> None:
        self.slot = slot
        self.seq = seq
        self.targets = targets


class HandingOver:
    """What one client has others take over; *expect* has it told of an answer under a token."""

    def __init__(
        self, objects: Objects, expect: Callable[[int, Callable[[], None]], None],
        take: Callable[[int], Fetched | None],
    ) -> None:  # fmt: skip
        self._objects = objects
        self._expect = expect
        self._take = take
        self._token = TOKENS
        self._waiting: deque[_Bringing] = deque()
        self._running: dict[int, _Bringing] = {}
        self._answered: list[int] = []
        self._leaving: set[int] = set()
        """Nodes that have said that they leave."""

    @property
    def restless(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self._answered)

    def asked(self, message: Leaving) -> list[ClientEffect]:
        """A node leaves that has these objects of ours."""
        node = node_of(message.sender)
        self._leaving.add(node)
        own = self._objects.node
        others = [other for other in message.nodes if other not in self._leaving]
        others.sort(key=lambda other: (other != own, other))
        held: dict[Slot, Entry] = {
            slot: entry
            for entry in self._objects.owned.values() if entry.state == STORED
            for slot in entry.value.slots if slot.node == node
        }  # fmt: skip
        safe: list[Slot] = []
        for slot in message.slots:
            entry = held.get(slot)
            if entry is None or self._elsewhere(entry):
                safe.append(slot)
            else:
                self._waiting.append(_Bringing(slot, entry.key[1], list(others)))
        effects: list[ClientEffect] = []
        if safe:
            effects.append(Send(message.sender, Saved(self._objects.me, safe)))
        return [*effects, *self._begin()]

    def _elsewhere(self, entry: Entry) -> bool:
        slots: Collection[Slot] = entry.value.slots
        return any(slot.node not in self._leaving for slot in slots)

    def _begin(self) -> list[ClientEffect]:
        effects: list[ClientEffect] = []
        while self._waiting and len(self._running) < AT_ONCE:
            one = self._waiting.popleft()
            entry = self._objects.owned.get(one.seq)
            if entry is None or entry.state != STORED or self._elsewhere(entry):
                effects.append(self._told(one))
            elif not one.targets:
                effects.append(self._told(one, "no other node has room for it"))
            else:
                target = one.targets.pop(0)
                self._token += 1
                self._running[self._token] = one
                self._expect(self._token, partial(self._answered.append, self._token))
                me, slots = self._objects.me, list(entry.value.slots)
                effects.append(
                    Send(node_client(target), Fetch(me, self._token, me, one.seq, slots))
                )
        return effects

    def step(self) -> list[ClientEffect]:
        """Look at the answers that have come."""
        effects: list[ClientEffect] = []
        answered, self._answered[:] = list(self._answered), []
        for token in answered:
            answer = self._take(token)
            one = self._running.pop(token, None)
            if one is None:
                continue
            if answer is not None and answer.slot is not None:
                effects.append(self._told(one))
            else:
                self._waiting.appendleft(one)
        return [*effects, *self._begin()]

    def node_died(self, node: int) -> list[ClientEffect]:
        """A node is gone: who was to take something may have been it."""
        self._leaving.discard(node)
        for token, one in list(self._running.items()):
            if one.slot.node == node or node in one.targets or self._objects.lost(
                node_client(node)
            ) is not None:
                del self._running[token]
                self._take(token)
                if one.slot.node != node:
                    self._waiting.appendleft(one)
        self._waiting = deque(one for one in self._waiting if one.slot.node != node)
        return self._begin()

    def _told(self, one: _Bringing, why: str = "") -> ClientEffect:
        return Send(node_client(one.slot.node), Saved(self._objects.me, [one.slot], why))
