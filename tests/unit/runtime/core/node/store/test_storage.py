"""The node's side of its store: who waits for a segment, and what becomes of spare ones."""

from __future__ import annotations

import pytest
from node_play import ANNA, BEN, Play

from nbray.config import SCARCE_SHARE, SPARE_SECONDS
from nbray.events import Figures
from nbray.runtime.core.effects import AddSegment, DropSegment, Effect
from nbray.runtime.core.node.store.slots import Full, StoreBooks
from nbray.runtime.core.node.store.storage import Storage
from nbray.wire import messages as m

MB = 1 << 20
ME = 7


class Shelf:
    """A store of 1,000 MB; `answers` are what requests were told."""

    def __init__(self) -> None:
        self.storage = Storage(ME, StoreBooks(1000 * MB, 1))
        self.answers: list[m.Slot | Full] = []

    def ask(self, megabytes: int, writer: int = ANNA) -> list[Effect]:
        def done(slot: m.Slot | Full) -> list[Effect]:
            self.answers.append(slot)
            return []

        return self.storage.allocate(writer, megabytes * MB, writer, done)

    def slot(self, megabytes: int, writer: int = ANNA) -> m.Slot:
        for effect in self.ask(megabytes, writer):
            if isinstance(effect, AddSegment):
                self.serial = getattr(self, "serial", 0) + 1
                self.storage.segment_added(self.serial, effect.size)
        slot = self.answers.pop()
        assert isinstance(slot, m.Slot)
        return slot


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_requests_wait_for_one_segment_and_are_answered_in_order(shelf: Shelf) -> None:
    assert shelf.ask(10) == [AddSegment(64 * MB)]
    assert shelf.ask(100) == []
    assert shelf.storage.segment_added(1, 64 * MB) == [AddSegment(104 * MB)]
    assert len(shelf.answers) == 1
    assert shelf.storage.segment_added(2, 104 * MB) == []
    assert [slot.segment for slot in shelf.answers if isinstance(slot, m.Slot)] == [1, 2]


def test_a_freed_large_segment_needs_no_new_one(shelf: Shelf) -> None:
    slot = shelf.slot(100)
    shelf.storage.free([slot])
    assert shelf.ask(100) == []
    again = shelf.answers.pop()
    assert isinstance(again, m.Slot)
    assert (again.segment, again.generation) == (slot.segment, slot.generation + 1)


def test_spare_segments_go_before_a_new_one_comes(shelf: Shelf) -> None:
    slot = shelf.slot(700)
    shelf.storage.free([slot])
    assert shelf.ask(300) == [DropSegment(slot.segment), AddSegment(320 * MB)]


def test_when_the_system_has_nothing_left_spare_segments_go_and_it_is_tried_again(
    shelf: Shelf,
) -> None:
    slot = shelf.slot(100)
    shelf.storage.free([slot])
    shelf.ask(300)
    effects = shelf.storage.segment_failed("no descriptors")
    assert effects == [DropSegment(slot.segment), AddSegment(320 * MB)]
    assert shelf.answers == []
    assert shelf.storage.segment_failed("no descriptors") == []
    assert shelf.answers == [Full("no descriptors")]


# With the whole brain


def allocate(play: Play, client: int, megabytes: int) -> m.Slot:
    play.say(m.Allocate(client, 1, megabytes * MB, client))
    added = [effect for effect in play.effects if isinstance(effect, AddSegment)]
    play.effects.clear()
    for effect in added:
        play.do(play.brain.storage.segment_added(client, effect.size))
    (answer,) = play.take(m.Allocated, client)
    assert answer.slot is not None, answer.why
    slot: m.Slot = answer.slot
    return slot


def dropped(play: Play) -> list[int]:
    found = [e.segment for e in play.effects if isinstance(e, DropSegment)]
    play.effects.clear()
    return found


@pytest.fixture
def play() -> Play:
    play = Play()
    for client in (ANNA, BEN):
        play.register(client, driver=True)
    return play


def test_memory_that_nobody_wants_goes_back_after_a_while(play: Play) -> None:
    slot = allocate(play, ANNA, 100)
    play.say(m.Free(ANNA, [slot]))
    play.tick(SPARE_SECONDS - 1)
    assert dropped(play) == []
    play.tick(2)
    assert dropped(play) == [slot.segment]


def test_use_keeps_memory_warm(play: Play) -> None:
    slot = allocate(play, ANNA, 100)
    for _ in range(3):
        play.say(m.Free(ANNA, [slot]))
        play.tick(SPARE_SECONDS - 1)
        slot = allocate(play, ANNA, 100)
    play.tick(10 * SPARE_SECONDS)
    assert dropped(play) == []


def test_what_a_dead_client_was_writing_comes_back(play: Play) -> None:
    slot = allocate(play, ANNA, 100)
    play.do(play.brain.client_gone(ANNA, "was killed", play.now))
    (asked,) = play.take(m.WhatHeld, BEN)
    assert asked.slots == [slot]
    play.say(m.Held(BEN, ANNA, []))
    again = allocate(play, BEN, 100)
    assert (again.segment, again.generation) == (slot.segment, slot.generation + 1)


def test_a_slot_that_somebody_views_is_not_handed_out_again(play: Play) -> None:
    slot = allocate(play, ANNA, 100)
    play.do(play.brain.client_gone(ANNA, "was killed", play.now))
    play.say(m.Held(BEN, ANNA, [slot]))
    assert allocate(play, BEN, 100).segment != slot.segment
    play.tick(2 * SPARE_SECONDS)
    assert dropped(play) == []


def test_scarce_memory_sends_back_what_is_only_kept_warm(play: Play) -> None:
    slot = allocate(play, ANNA, 100)
    play.say(m.Free(ANNA, [slot]))
    total = 1 << 40
    enough = Figures(memory_total=total, memory_used=int(total * (1 - 2 * SCARCE_SHARE)))
    play.do(play.brain.figures(enough, play.now))
    assert dropped(play) == []
    scarce = Figures(memory_total=total, memory_used=int(total * (1 - SCARCE_SHARE / 2)))
    play.do(play.brain.figures(scarce, play.now))
    assert dropped(play) == [slot.segment]
