"""Which objects of a full store go to disk, and who is asked first."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.config import IN_USE_SECONDS, PIN_SECONDS
from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.store.disk import Disk
from nbray.runtime.core.node.store.slots import Full, StoreBooks
from nbray.runtime.core.node.store.storage import Storage
from nbray.wire import messages as m
from nbray.wire.pins import filler_pin

MB = 1 << 20
ME, ANNA, BEN = 1 << 32, (1 << 32) + 1, (1 << 32) + 2
CAPACITY = 10 * MB


class Play:
    """A store of ten megabytes; its shell has segments, files and pins at once."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.books = StoreBooks(
            CAPACITY, 1, 2 * MB, Disk("/spill", file=20 * MB) if disk is None else disk
        )
        self.storage = Storage(ME, self.books, [ANNA, BEN])
        self.now = 0.0
        self.sent: list[fx.NodeEffect] = []
        self.got: list[m.Slot | Full] = []
        self.spilling: list[fx.Spill] = []
        self._number = 100

    def do(self, effects: list[fx.NodeEffect]) -> None:
        todo = list(effects)
        while todo:
            effect = todo.pop(0)
            self._number += 1
            if isinstance(effect, fx.AddSegment):
                todo += self.storage.segment_added(self._number, effect.size)
            elif isinstance(effect, fx.AddFile):
                todo += self.storage.file_added(m.ON_DISK | self._number, effect.size)
            elif isinstance(effect, fx.MakePins):
                todo += self.storage.pins_made(7)
            elif isinstance(effect, fx.Spill):
                self.spilling.append(effect)
            else:
                self.sent.append(effect)
        self.books.validate()
        self.storage.spilling.validate()

    def put(self, megabytes: int = 2, token: int = 1) -> m.Slot | None:
        """An object of Anna's; None: she waits."""
        before = len(self.got)

        def done(slot: m.Slot | Full) -> list[fx.NodeEffect]:
            self.got.append(slot)
            if isinstance(slot, m.Slot):
                self.storage.made(ANNA, ANNA, slot, token)
            return []

        self.do(self.storage.allocate(ANNA, megabytes * MB, ANNA, done))
        slot = self.got[-1] if len(self.got) > before else None
        assert not isinstance(slot, Full), slot
        return slot

    def pin(self) -> None:
        for client in (ANNA, BEN):
            self.do(self.storage.uses_pins(client, ""))

    def written(self, **more: Any) -> None:
        """The last that was to be moved has been."""
        generations = [move.slot.generation for move in self.spilling.pop().moves]
        self.do(self.storage.spilled((), generations, (), ""))

    def sweep(self, now: float) -> None:
        self.now = now
        self.do(self.storage.sweep(now))


@pytest.fixture
def full() -> tuple[Play, list[m.Slot]]:
    play = Play()
    slots = [slot for slot in (play.put() for _ in range(5)) if slot]
    assert len(slots) == 5
    assert not play.sent
    return play, slots


def test_the_first_to_find_no_room_has_everybody_pin(full: Any) -> None:
    play, slots = full
    assert play.put() is None
    assert play.sent == [fx.Send(one, m.UsePins(ME, 7)) for one in (ANNA, BEN)]
    play.do(play.storage.uses_pins(ANNA, ""))
    assert not play.spilling
    play.do(play.storage.uses_pins(BEN, ""))
    (spill,) = play.spilling
    assert [move.slot for move in spill.moves] == slots[:1]
    assert spill.moves[0].filler == filler_pin(ANNA, 1)
    play.written()
    assert isinstance(play.got[-1], m.Slot)
    assert not play.got[-1].on_disk
    assert play.books.where(slots[0]).on_disk
    assert play.books.is_live(slots[0])


def test_one_who_is_busy_holds_nobody_up(full: Any) -> None:
    play, _ = full
    assert play.put() is None
    play.do(play.storage.uses_pins(ANNA, ""))
    assert play.storage.next_deadline(0.0) == PIN_SECONDS
    play.sweep(PIN_SECONDS)
    assert play.got[-1].on_disk
    play.do(play.storage.uses_pins(BEN, ""))
    assert play.put() is None
    assert play.spilling


def test_nobody_waits_for_the_dead(full: Any) -> None:
    play, _ = full
    assert play.put() is None
    play.do(play.storage.uses_pins(ANNA, ""))
    play.do(play.storage.client_died(BEN))
    play.sweep(0.1)
    assert play.spilling


def test_what_is_in_use_stays_and_is_looked_at_again_later(full: Any) -> None:
    play, slots = full
    assert play.put() is None
    play.pin()
    spill = play.spilling.pop()
    play.do(play.storage.spilled([spill.moves[0].slot.generation], (), (), ""))
    assert play.spilling[-1].moves[0].slot == slots[1]
    play.written()
    assert play.put() is None
    assert play.spilling[-1].moves[0].slot == slots[2]
    play.written()
    play.sweep(IN_USE_SECONDS)
    assert play.put() is None
    assert play.spilling[-1].moves[0].slot == slots[0]


def test_when_all_is_in_use_what_is_new_goes_to_disk(full: Any) -> None:
    play, slots = full
    assert play.put() is None
    play.pin()
    while play.spilling:
        moves = play.spilling.pop().moves
        play.do(play.storage.spilled([move.slot.generation for move in moves], (), (), ""))
    assert play.got[-1].on_disk
    assert all(play.books.where(slot) == slot for slot in slots)


def test_what_is_larger_than_the_store_lies_on_disk_and_goes_from_there() -> None:
    play = Play()
    slot = play.put(30)
    assert slot is not None
    assert slot.on_disk
    assert (play.books.used, play.books.disk.used) == (0, 30 * MB)
    play.storage.free([slot])
    play.sweep(0.0)
    assert play.sent == [fx.DropFile(slot.segment)]


def test_what_is_freed_while_it_is_written_is_not_there_afterwards(full: Any) -> None:
    play, slots = full
    assert play.put() is None
    play.pin()
    play.do(play.storage.spilling.where(m.Where(BEN, 5, slots[0])))
    play.storage.free([slots[0]])
    to = play.spilling[-1].moves[0].to
    play.sent.clear()
    play.written()
    assert fx.Send(BEN, m.Lies(ME, 5, None, "it has been freed")) in play.sent
    assert fx.Unpin(slots[0].generation) in play.sent
    assert fx.DropFile(to.segment) in play.sent
    assert isinstance(play.got[-1], m.Slot)


def test_what_has_moved_goes_from_the_disk_when_it_is_freed(full: Any) -> None:
    play, slots = full
    play.put()
    play.pin()
    play.written()
    play.sent.clear()
    place = play.books.where(slots[0])
    play.storage.free([slots[0]])
    play.sweep(0.0)
    assert play.sent == [fx.Unpin(slots[0].generation), fx.DropFile(place.segment)]


def test_whoever_asks_hears_where_an_object_lies_when_it_lies_still(full: Any) -> None:
    play, slots = full
    play.put()
    play.pin()
    play.sent.clear()
    ask = play.storage.spilling.where
    play.do(ask(m.Where(BEN, 1, slots[1])))
    assert play.sent.pop() == fx.Send(BEN, m.Lies(ME, 1, slots[1]))
    play.do(ask(m.Where(BEN, 2, slots[0])))
    assert not play.sent
    play.written()
    place = play.books.where(slots[0])
    assert play.sent.pop() == fx.Send(BEN, m.Lies(ME, 2, place))
    play.do(ask(m.Where(BEN, 3, slots[0])))
    assert play.sent.pop() == fx.Send(BEN, m.Lies(ME, 3, place))


def test_a_full_disk_is_the_error_of_one_object(full: Any) -> None:
    play, slots = full
    play.put()
    play.put()
    play.pin()
    generation = play.spilling.pop().moves[0].slot.generation
    play.do(play.storage.spilled((), (), [generation], "it is full"))
    refused = play.got[-1]
    assert isinstance(refused, Full)
    assert refused.kind == m.Why.OUT_OF_DISK
    assert "it is full" in refused.reason
    assert fx.Unpin(generation) in play.sent
    assert play.books.where(slots[0]) == slots[0]
    play.written()  # for the second, it is tried again
    assert isinstance(play.got[-1], m.Slot)


def test_the_bound_on_disk_is_an_error_that_names_it() -> None:
    play = Play(Disk("/spill", limit=5 * MB, file=20 * MB))
    with pytest.raises(AssertionError, match="NBRAY_SPILL_LIMIT"):
        play.put(30)


def test_what_is_freed_makes_room_without_a_disk(full: Any) -> None:
    play, slots = full
    assert play.put() is None
    play.storage.free([slots[2]])
    play.sweep(0.0)
    assert isinstance(play.got[-1], m.Slot)
    assert not play.got[-1].on_disk


def test_what_comes_from_another_node_moves_when_it_is_whole() -> None:
    play = Play()
    first = play.put()
    assert first is not None
    play.storage.spilling.filling(first, ME, 0)
    for _ in range(4):
        play.put()
    play.put()
    play.pin()
    assert play.spilling[-1].moves[0].slot != first
    play.written()
    play.storage.spilling.filled(first)
    play.put()
    assert play.spilling[-1].moves[0].slot == first


def test_the_first_time_is_told_once(full: Any) -> None:
    play, _ = full
    assert play.storage.spilling.news() == ""
    play.put(30)
    said = play.storage.spilling.news()
    assert "/spill" in said
    assert "object_store_memory" in said
    assert play.storage.spilling.news() == ""


def test_a_full_disk_hinders_until_there_is_room() -> None:
    play = Play(Disk("/spill", limit=4 * MB, file=20 * MB))
    slots = [play.put() for _ in range(5)]
    assert play.put() is None
    play.pin()
    play.written()
    assert play.books.disk is not None
    assert play.storage.spilling.trouble == ""
    slots += [play.put(), play.put()]
    refused: list[m.Slot | Full] = []

    def done(slot: m.Slot | Full) -> list[fx.NodeEffect]:
        refused.append(slot)
        return []

    while not refused:
        play.do(play.storage.allocate(ANNA, 2 * MB, ANNA, done))
        if play.spilling:
            play.written()
    said = play.storage.spilling.trouble
    assert said.startswith("objects find no room: the store (10 MB) is full, and /spill holds")
    play.storage.free([slot for slot in slots if slot is not None])
    assert play.storage.spilling.trouble == ""
