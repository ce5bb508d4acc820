"""Objects between nodes: several sources, trees, losses, bounds; nodes here are brains alone."""

from __future__ import annotations

from collections import Counter, deque
from itertools import count as count_from
from typing import Any

import pytest

from nbray.config import CHUNK, PART
from nbray.ids import client_id, node_client, node_of
from nbray.runtime.core.effects import AddSegment, Send, SendBulk, WriteSlot
from nbray.runtime.core.node.store.serving import CHILDREN, Serving, order
from nbray.runtime.core.node.store.slots import StoreBooks
from nbray.runtime.core.node.store.storage import Storage
from nbray.runtime.core.node.store.transfers import MOST, STALL, WINDOW, Transfers
from nbray.wire import messages as m

OWNER = client_id(1, 9)
SIZE = 40 * CHUNK + 5
PARTS = -(-SIZE // PART)


class Net:
    """Nodes that hear each other at once, in the order in which things are said."""

    def __init__(self, count: int, capacity: int = 1 << 30) -> None:
        self.now = 0.0
        self.numbers = count_from(1)
        self.queue: deque[tuple[int, Any]] = deque()
        self.dead: set[int] = set()
        self.deaf: set[int] = set()
        """Nodes whose bulk lane brings nothing."""
        self.given: Counter[int] = Counter()
        """Parts that each node has sent."""
        self.asked: list[tuple[int, m.Pull]] = []
        self.written: dict[tuple[int, int], set[int]] = {}
        self.told: list[tuple[int, Any]] = []
        self.full = -1
        """How many parts can be written yet before there is no room (-1: all)."""
        self.storages = {
            number: Storage(node_client(number), StoreBooks(capacity, number))
            for number in range(1, count + 1)
        }
        self.transfers = {
            number: Transfers(node_client(number), number, storage, self.dead.__contains__)
            for number, storage in self.storages.items()
        }

    def store(self, node: int, size: int = SIZE) -> m.Slot:
        """An object lies on *node*."""
        found: list[Any] = []
        storage = self.storages[node]
        for effect in storage.allocate(OWNER, size, OWNER, lambda slot: found.append(slot) or []):
            assert isinstance(effect, AddSegment)
            storage.segment_added(next(self.numbers), effect.size)
        return found[0]

    def fetch(self, node: int, *slots: m.Slot, seq: int = 7) -> None:
        message = m.Fetch(client_id(node, 20), seq, OWNER, seq, list(slots))
        self.do(node, self.transfers[node].fetch(message, self.now))

    def do(self, node: int, effects: list[Any]) -> None:
        for index, effect in enumerate(effects):
            match effect:
                case WriteSlot(slot=slot) if not self.full:
                    rest = effects[index + 1 :]
                    self.do(node, self.transfers[node].unwritten(slot, "no room", rest))
                    return
                case AddSegment(size=size):
                    self.do(node, self.storages[node].segment_added(next(self.numbers), size))
                case WriteSlot(slot=slot, start=start):
                    self.full -= 1
                    self.written.setdefault((node, slot.generation), set()).add(start)
                case SendBulk(to=to, message=message, slot=slot, start=start):
                    have = self.written.get((node, slot.generation))
                    assert have is None or start in have, "it is sent before it has come"
                    self.given[node] += 1
                    if node_of(to) not in self.deaf:
                        self.queue.append((node_of(to), message))
                case Send(to=to, message=message):
                    if isinstance(message, m.Pull):
                        self.asked.append((node_of(to), message))
                    if to == node_client(node_of(to)):
                        self.queue.append((node_of(to), message))
                    else:
                        self.told.append((to, message))

    def step(self) -> bool:
        """Deliver one message."""
        if not self.queue:
            return False
        to, message = self.queue.popleft()
        if to not in self.dead and node_of(message.sender) not in self.dead:
            self.do(to, self.transfers[to].handle(message, self.now))
        return True

    def run(self) -> None:
        while self.step():
            pass

    def lose(self, node: int) -> None:
        self.dead.add(node)
        for number, transfers in self.transfers.items():
            if number != node:
                self.do(number, transfers.node_lost(node))

    def fetched(self) -> dict[int, m.Fetched]:
        return {node_of(to): one for to, one in self.told if isinstance(one, m.Fetched)}

    def whole(self, node: int) -> bool:
        slot = self.fetched()[node].slot
        assert slot is not None
        have = self.written[node, slot.generation]
        return have == set(range(0, slot.size, PART))


def test_every_part_comes_once_and_the_owner_hears_of_the_copy() -> None:
    net = Net(2)
    slot = net.store(1)
    net.fetch(2, slot)
    net.run()
    assert net.whole(2)
    assert net.given == {1: PARTS}
    (moved,) = [one for to, one in net.told if isinstance(one, m.Moved) and to == OWNER]
    assert (moved.seq, moved.slot) == (7, net.fetched()[2].slot)


def test_several_copies_share_the_work() -> None:
    net = Net(3)
    slots = net.store(1), net.store(2)
    net.fetch(3, *slots)
    net.run()
    assert net.whole(3)
    assert sum(net.given.values()) == PARTS
    assert min(net.given.values()) >= PARTS // 3


def test_what_has_come_is_kept_when_a_source_is_lost() -> None:
    net = Net(3)
    slots = net.store(1), net.store(2)
    net.fetch(3, *slots)
    for _ in range(9):
        net.step()
    net.lose(1)
    net.run()
    assert net.whole(3)
    assert net.given[2] < PARTS
    assert net.transfers[3].next_deadline() is None


def test_a_fetch_fails_with_its_last_source() -> None:
    net = Net(2)
    net.fetch(2, net.store(1))
    for _ in range(3):
        net.step()
    net.lose(1)
    net.run()
    assert "are gone" in net.fetched()[2].why
    assert net.storages[2].books.used == 0
    assert not net.transfers[2].moving()[0]


@pytest.mark.parametrize("written", [0, 3, PARTS - 1])
def test_a_part_that_cannot_be_written_fails_the_fetch_even_the_last_one(written: int) -> None:
    net = Net(2)
    slot = net.store(1)
    net.full = written
    net.fetch(2, slot)
    net.run()
    ((to, told),) = net.told
    assert (to, told.slot, told.why, told.kind) == (client_id(2, 20), None, "no room", m.Why.FULL)
    assert len(net.storages[2].books) == 0
    assert net.transfers[2].moving() == (0, 0)


def test_a_source_that_has_freed_it_is_done_without() -> None:
    net = Net(3)
    slots = net.store(1), net.store(2)
    net.storages[1].free([slots[0]])
    net.fetch(3, *slots)
    net.run()
    assert net.whole(3)
    assert net.given == {2: PARTS}


def test_many_nodes_pass_an_object_on_among_themselves() -> None:
    net = Net(7)
    slot = net.store(1)
    for node in range(2, 8):
        net.fetch(node, slot)
    net.run()
    assert all(net.whole(node) for node in range(2, 8))
    assert net.given[1] == PARTS, "each part leaves the source once"
    assert sum(net.given.values()) == 6 * PARTS
    assert max(net.given.values()) <= PARTS * CHILDREN


def test_who_comes_late_gets_it_from_those_that_have_it() -> None:
    net = Net(4)
    slot = net.store(1)
    for node in (2, 3):
        net.fetch(node, slot)
        net.run()
    before = net.given[1]
    net.fetch(4, slot)
    net.run()
    assert net.whole(4)
    assert net.given[1] == before


@pytest.mark.parametrize("dies", [True, False])
def test_a_part_that_another_node_does_not_give_comes_from_the_source(dies: bool) -> None:
    net = Net(3)
    slot = net.store(1)
    net.fetch(2, slot)
    net.fetch(3, slot)
    while not any(to == 2 for to, pull in net.asked):
        net.step()
    if dies:
        net.lose(2)
    else:
        net.do(2, net.transfers[2].owner_died(OWNER))
    net.run()
    assert net.whole(3)
    assert any(pull.insists for _, pull in net.asked)


def test_what_does_not_come_is_asked_for_again_with_growing_patience() -> None:
    net = Net(3)
    slots = net.store(1), net.store(2)
    net.deaf.add(3)
    net.fetch(3, *slots)
    net.run()
    waits = []
    for _ in range(3):
        due = net.transfers[3].next_deadline()
        assert due is not None
        waits.append(due - net.now)
        net.now = due
        net.do(3, net.transfers[3].tick(net.now))
        net.run()
    assert waits == [STALL, 2 * STALL, 4 * STALL]
    net.deaf.clear()
    net.now += 60
    net.do(3, net.transfers[3].tick(net.now))
    net.run()
    assert net.whole(3)


def test_what_is_under_way_is_bounded_and_early_fetches_go_first() -> None:
    net = Net(9)
    size = 2 * WINDOW
    for seq in range(1, 9):
        net.fetch(9, net.store(seq, size), seq=seq)
    assert sum(pull.size for _, pull in net.asked) == MOST
    assert [to for to, _ in net.asked] == sorted(to for to, _ in net.asked)
    net.run()
    assert sum(isinstance(one, m.Fetched) and one.slot is not None for _, one in net.told) == 8


def test_a_small_object_comes_from_where_it_lies() -> None:
    net = Net(4)
    slot = net.store(1, 3 * CHUNK)
    for node in (2, 3, 4):
        net.fetch(node, slot)
    net.run()
    assert net.given == {1: 9}


def test_nodes_begin_at_different_parts() -> None:
    starts = list(range(20))
    begun = [order(node, starts)[-1] for node in range(1, 8)]
    assert len(set(begun)) == 7
    assert all(sorted(order(node, starts)) == starts for node in range(8))


def test_a_dead_node_is_named_to_nobody_and_freed_slots_are_forgotten() -> None:
    dead: set[int] = set()
    live = {m.Slot(1, 1, 0, 1, 1)}
    serving = Serving(dead.__contains__, live.__contains__)
    (slot,) = live
    assert serving.ask(slot, 0, 2, False) == 0
    assert serving.ask(slot, 0, 3, False) == 2
    dead.add(2)
    assert serving.ask(slot, 0, 4, False) == 3
    assert serving.ask(slot, 0, 4, True) == 0
    live.clear()
    serving.ask(m.Slot(1, 1, 0, 1, 2), 0, 2, False)
    assert slot not in serving._trees
