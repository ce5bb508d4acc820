"""The node's books: capacity, segments that come and go, dead owners, stale messages."""

from __future__ import annotations

import random

import pytest

from nbray.config import SPARE_SECONDS
from nbray.runtime.core.effects import DropSegment, Effect
from nbray.runtime.core.node.store.allocator import PAGE
from nbray.runtime.core.node.store.slots import Full, NeedSegment, StoreBooks
from nbray.wire.messages import Slot

MB = 1 << 20


class Node:
    """The books with a shell that creates and drops numbers instead of memory."""

    def __init__(self, capacity: int, arena: int = 0) -> None:
        self.books = StoreBooks(capacity, node=7, arena=arena)
        self.segments: dict[int, int] = {}
        self.serial = 0

    def allocate(self, owner: int, size: int, writer: int = 0) -> Slot | Full:
        answer = self.books.allocate(owner, size, writer)
        if isinstance(answer, NeedSegment):
            for segment in answer.drop:
                del self.segments[segment]
            self.serial += 1
            self.segments[self.serial] = answer.size
            self.books.segment_added(self.serial, answer.size)
            answer = self.books.allocate(owner, size, writer)
            assert not isinstance(answer, NeedSegment)
        self.check()
        return answer

    def slot(self, owner: int, size: int, writer: int = 0) -> Slot:
        slot = self.allocate(owner, size, writer)
        assert isinstance(slot, Slot)
        return slot

    def apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            assert isinstance(effect, DropSegment)
            del self.segments[effect.segment]
        self.check()

    def free(self, slot: Slot) -> None:
        self.books.free(slot)
        self.check()

    def release_held(self, client: int, owner: int, still: list[Slot]) -> None:
        self.books.release_held(client, owner, still)
        self.check()

    def client_died(self, client: int) -> None:
        self.books.client_died(client)
        self.check()

    def check(self) -> None:
        self.books.validate()
        assert sorted(self.books.segments()) == sorted(self.segments)
        assert self.books.reserved == sum(self.segments.values())


def test_small_objects_share_an_arena() -> None:
    node = Node(1000 * MB)
    slots = [node.slot(owner, 100_000) for owner in (1, 1, 2)]
    assert len({slot.segment for slot in slots}) == 1
    assert len({slot.generation for slot in slots}) == 3
    assert {slot.node for slot in slots} == {7}
    assert {slot.size for slot in slots} == {100_000}
    assert node.books.owners() == {1: 2 * 25 * PAGE, 2: 25 * PAGE}
    assert node.books.used == 75 * PAGE
    assert len(node.books) == 3


def test_large_objects_get_their_own_segment() -> None:
    node = Node(1000 * MB)
    large = node.slot(1, 100 * MB + 1)
    assert node.segments[large.segment] == 104 * MB  # a little more, for the next one
    small = node.slot(1, 5)
    assert small.segment != large.segment
    node.free(small)
    assert node.slot(1, 9).segment == small.segment


def test_the_empty_arena_makes_room() -> None:
    node = Node(100 * MB)
    node.free(node.slot(1, MB))
    assert len(node.segments) == 1
    large = node.slot(1, 90 * MB)
    assert list(node.segments) == [large.segment]


def test_a_small_store_has_a_small_arena() -> None:
    node = Node(MB)
    node.slot(1, 10)
    assert list(node.segments.values()) == [MB]


def test_an_object_that_can_never_fit_is_explained() -> None:
    node = Node(10 * MB)
    answer = node.allocate(1, 20 * MB)
    assert isinstance(answer, Full)
    assert "can never fit" in answer.reason
    assert "20 MB" in answer.reason
    assert "10 MB" in answer.reason
    assert "object_store_memory=21_000_000" in answer.reason
    assert node.segments == {}


def test_a_full_store_is_explained_and_recovers() -> None:
    node = Node(10 * MB)
    slots = [node.slot(1, 4 * MB) for _ in range(2)]
    answer = node.allocate(1, 4 * MB)
    assert isinstance(answer, Full)
    assert "in use by 2 objects" in answer.reason
    assert "del ref" in answer.reason
    node.free(slots[0])
    node.slot(1, 4 * MB)


def test_stale_frees_change_nothing_and_are_counted() -> None:
    node = Node(10 * MB)
    old = node.slot(1, MB)
    node.free(old)
    new = node.slot(2, MB)
    assert (new.segment, new.offset) == (old.segment, old.offset)
    assert not node.books.is_live(old)
    node.free(old)
    assert node.books.stale == 1
    assert node.books.is_live(new)
    node.free(Slot(7, 99, 0, 1, 12345))
    assert node.books.stale == 2


# Spare segments


def test_a_large_segment_is_used_again() -> None:
    node = Node(1000 * MB)
    first = node.slot(1, 100 * MB)
    node.free(first)
    second = node.slot(2, 103 * MB)
    assert second.segment == first.segment
    assert second.generation != first.generation
    node.free(first)  # late
    assert node.books.stale == 1
    assert node.books.is_live(second)
    assert node.slot(1, 100 * MB).segment != second.segment


def test_a_small_object_does_not_take_a_huge_segment() -> None:
    node = Node(1000 * MB)
    node.free(node.slot(1, 400 * MB))
    assert len({node.slot(1, size * MB).segment for size in (1, 100, 199)} | {1}) == 4
    assert node.slot(1, 250 * MB).segment == 1


def test_who_wrote_there_before_gets_it_back() -> None:
    node = Node(2000 * MB)
    slots = {writer: node.slot(9, 100 * MB, writer) for writer in (1, 2)}
    for slot in slots.values():
        node.free(slot)
    assert node.slot(9, 90 * MB, writer=2).segment == slots[2].segment
    assert node.slot(9, 100 * MB, writer=3).segment == slots[1].segment


def test_the_smallest_that_fits_is_taken() -> None:
    node = Node(2000 * MB)
    slots = [node.slot(1, size * MB) for size in (190, 100, 150)]
    for slot in slots:
        node.free(slot)
    assert node.slot(2, 120 * MB).segment == slots[2].segment


def test_writers_find_their_own_arena_first() -> None:
    node = Node(1000 * MB)
    slots = {writer: node.slot(writer, 40 * MB) for writer in (1, 2)}
    node.free(slots[1])
    node.free(slots[2])
    assert node.slot(2, 40 * MB).segment == slots[2].segment
    assert node.slot(1, 40 * MB).segment == slots[1].segment


def test_what_nobody_uses_for_a_while_is_given_back() -> None:
    node = Node(2000 * MB)
    large, other, small = node.slot(1, 100 * MB), node.slot(1, 200 * MB), node.slot(1, 5)
    assert node.books.sweep(0.0) == []
    assert node.books.next_deadline(0.0) is None
    node.free(large)
    assert node.books.next_deadline(50.0) == 50.0  # the time is not known yet
    assert node.books.sweep(50.0) == []
    node.free(small)
    node.books.sweep(53.0)
    assert node.books.next_deadline(53.0) == 50.0 + SPARE_SECONDS
    node.apply(node.books.sweep(50.0 + SPARE_SECONDS))
    assert sorted(node.segments) == sorted([other.segment, small.segment])
    assert node.slot(1, 9).segment == small.segment  # wanted just in time
    assert node.books.sweep(1000.0) == []
    assert len(node.segments) == 2


def test_a_store_without_room_gives_up_its_oldest_spare_segments_only() -> None:
    node = Node(1000 * MB)
    slots = [node.slot(1, 300 * MB) for _ in range(3)]
    for slot in slots:
        node.free(slot)
    large = node.slot(1, 100 * MB)  # too small for theirs
    assert slots[0].segment not in node.segments
    assert set(node.segments) == {slots[1].segment, slots[2].segment, large.segment}
    node.slot(1, 900 * MB)
    assert len(node.segments) == 2
    assert isinstance(node.allocate(1, MB), Full)


def test_without_room_a_segment_is_no_larger_than_its_object() -> None:
    node = Node(100 * MB)
    assert node.segments[node.slot(1, 99 * MB).segment] == 99 * MB


def test_scarce_memory_leaves_nothing_spare() -> None:
    node = Node(2000 * MB)
    kept = node.slot(1, 100 * MB)
    node.free(node.slot(1, 200 * MB))
    node.free(node.slot(1, 5))
    node.apply(node.books.relieve())
    assert list(node.segments) == [kept.segment]
    assert node.books.relieve() == []


# Dead owners


def test_without_other_clients_a_dead_owners_slots_are_free_at_once() -> None:
    node = Node(10 * MB)
    slot = node.slot(1, MB)
    assert node.books.owner_died(1, [1]) == []
    node.check()
    assert not node.books.is_live(slot)
    assert node.books.used == 0


def test_a_dead_owners_slots_stay_while_anybody_views_them() -> None:
    node = Node(10 * MB)
    seen, unseen = node.slot(1, MB), node.slot(1, MB)
    other = node.slot(2, MB)
    assert node.books.owner_died(1, [1, 2, 3]) == [seen, unseen]
    node.release_held(2, 1, [seen])
    assert node.books.is_live(unseen)  # 3 has not said yet
    node.release_held(3, 1, [])
    assert not node.books.is_live(unseen)
    assert node.books.is_live(seen)
    node.release_held(3, 1, [])  # said twice
    assert node.books.is_live(seen)
    node.release_held(2, 1, [])
    assert not node.books.is_live(seen)
    assert node.books.is_live(other)
    assert node.books.owners() == {2: MB}


def test_the_death_of_the_last_viewer_frees() -> None:
    node = Node(10 * MB)
    slot = node.slot(1, MB)
    node.books.owner_died(1, [2, 3])
    node.release_held(2, 1, [slot])
    node.client_died(3)
    assert node.books.is_live(slot)
    node.client_died(2)
    assert not node.books.is_live(slot)
    node.release_held(2, 1, [])
    assert node.books.stale == 0


def test_a_late_free_of_an_orphan_is_the_end_of_it() -> None:
    node = Node(10 * MB)
    slot = node.slot(1, MB)
    node.books.owner_died(1, [2])
    node.free(slot)
    node.release_held(2, 1, [slot])
    node.client_died(2)
    assert node.books.stale == 0
    assert node.books.used == 0


@pytest.mark.parametrize("seed", range(30))
def test_nothing_leaks_whatever_happens(seed: int) -> None:
    rng = random.Random(seed)
    node = Node(rng.randint(1, 600) * PAGE, arena=64 * PAGE)
    clients = set(range(1, 6))
    live: dict[int, tuple[int, Slot]] = {}
    held: dict[tuple[int, int], list[Slot]] = {}
    now = 0.0
    for _ in range(400):
        now += rng.random()
        if rng.random() < 0.5:
            node.apply(node.books.sweep(now))
        elif rng.random() < 0.02:
            node.apply(node.books.relieve())
        step = rng.random()
        if step < 0.5:
            owner = rng.choice(sorted(clients))
            answer = node.allocate(owner, rng.randint(0, 100 * PAGE), rng.randint(0, 5))
            if isinstance(answer, Slot):
                live[answer.generation] = (owner, answer)
            else:
                assert "object_store_memory" in answer.reason
        elif step < 0.85 and live:
            generation = rng.choice(sorted(live))
            owner, slot = live[generation]
            if owner in clients:
                del live[generation]
                node.free(slot)
        elif step < 0.9 and len(clients) > 2:
            dead = rng.choice(sorted(clients))
            clients.discard(dead)
            node.client_died(dead)
            held = {key: slots for key, slots in held.items() if key[0] != dead}
            ask = node.books.owner_died(dead, clients)
            node.check()
            for client in clients:
                held[client, dead] = [slot for slot in ask if rng.random() < 0.3]
            clients.add(dead + 100)
        elif held:
            client, dead = rng.choice(sorted(held))
            slots = held.pop((client, dead))
            node.release_held(client, dead, slots)
            if slots:
                held[client, dead] = slots[1:]
    for (client, dead), slots in held.items():
        node.release_held(client, dead, slots)
        node.release_held(client, dead, [])
    for owner, slot in live.values():
        if owner in clients:
            node.free(slot)
    assert node.books.used == 0
    assert len(node.books) == 0
    assert node.books.stale == 0
    node.apply(node.books.sweep(now))
    node.apply(node.books.sweep(now + SPARE_SECONDS))
    assert node.segments == {}
