"""References by the hundred thousand: what is said about them is said once, and in linear time."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.ids import client_id, node_client
from nbray.runtime.core.client.objects.objects import READY, STORED, Entry, Objects
from nbray.runtime.core.client.objects.requested_values import MOST_LOCATED, RequestedValues
from nbray.runtime.core.effects import Effect, Send
from nbray.wire import messages as m

ME = client_id(1, 5)
FAR = client_id(2, 7)
OTHER = client_id(3, 9)
MANY = 30_000
"""Quadratic work on so many would outlast the tests' time-out."""


def said(effects: list[Effect], kind: type) -> list[tuple[int, Any]]:
    sends = [effect for effect in effects if isinstance(effect, Send)]
    return [(one.to, one.message) for one in sends if isinstance(one.message, kind)]


def taken(objects: Objects, keys: list[m.Ref]) -> list[Effect]:
    objects.hold(keys)
    return objects.settle_counts(0)


def let_go(objects: Objects, keys: list[m.Ref]) -> list[Effect]:
    objects.drop(keys)
    return objects.settle_counts(len(objects.dropped))


@pytest.mark.parametrize("owners", [[FAR], [FAR, OTHER]])
def test_many_that_are_dropped_before_their_owners_answered(owners: list[int]) -> None:
    objects = Objects(ME, 1)
    keys = [(owner, seq) for seq in range(MANY) for owner in owners]
    borrows = said(taken(objects, keys), m.Borrow)
    assert not said(let_go(objects, keys), m.Release)
    for owner, borrow in borrows:
        (release,) = said(objects.acknowledged(m.Borrowed(owner, borrow.token)), m.Release)
        assert release == (owner, m.Release(ME, list(range(MANY))))
    assert not objects.foreign


@pytest.mark.parametrize("owners", [[FAR], [FAR, OTHER]])
def test_many_that_are_dropped_later(owners: list[int]) -> None:
    objects = Objects(ME, 1)
    keys = [(owner, seq) for seq in range(MANY) for owner in owners]
    for owner, borrow in said(taken(objects, keys), m.Borrow):
        objects.acknowledged(m.Borrowed(owner, borrow.token))
    released = said(let_go(objects, keys), m.Release)
    assert {to: len(release.seqs) for to, release in released} == dict.fromkeys(owners, MANY)


def test_many_whose_owner_dies_before_it_answered() -> None:
    objects = Objects(ME, 1)
    keys = [(FAR, seq) for seq in range(MANY)] + [(OTHER, 1)]
    taken(objects, keys)
    let_go(objects, keys)
    effects = objects.client_died(FAR, b"dead")
    assert not said(effects, m.Release)
    (borrow_token,) = objects._borrowing.tokens
    assert said(objects.acknowledged(m.Borrowed(OTHER, borrow_token)), m.Release) == [
        (OTHER, m.Release(ME, [1]))
    ]
    assert not objects._borrowing.put_off


def test_many_answers_that_wait_for_a_third_ones_word() -> None:
    """Tasks' arguments from a third process: `Unpinned` goes out once its owner has answered."""
    objects = Objects(ME, 1)
    ((_, borrow),) = said(taken(objects, [(FAR, seq) for seq in range(MANY)]), m.Borrow)
    effects: list[Effect] = []
    for seq in range(MANY):
        objects.confirm(OTHER, seq, [(FAR, seq)], effects)
    assert not effects
    answered = objects.acknowledged(m.Borrowed(FAR, borrow.token))
    assert said(answered, m.Unpinned) == [(OTHER, m.Unpinned(ME, list(range(MANY))))]


def test_many_slots_are_freed_by_one_message_to_each_node() -> None:
    objects = Objects(ME, 1)
    slots = {seq: m.Slot(2 + seq % 2, seq, 0, 100, seq) for seq in range(2000)}
    for seq, slot in slots.items():
        objects.owned[seq] = Entry((ME, seq), 0, STORED, m.Value(b"", [slot]))
        objects.borrow(m.Borrow(FAR, [seq], 0))
    freed = said(objects.release(m.Release(FAR, list(slots))), m.Free)
    assert {to for to, _ in freed} == {node_client(2), node_client(3)}
    assert sorted(slot.generation for _, free in freed for slot in free.slots) == list(slots)


def test_what_was_sent_is_not_added_to() -> None:
    objects = Objects(ME, 1)
    keys = [(FAR, 1), (FAR, 2)]
    ((_, borrow),) = said(taken(objects, keys), m.Borrow)
    objects.acknowledged(m.Borrowed(FAR, borrow.token))
    first = let_go(objects, keys[:1])
    objects.gathered()
    second = let_go(objects, keys[1:])
    assert [release.seqs for _, release in said([*first, *second], m.Release)] == [[1], [2]]


@pytest.mark.parametrize("sizes", [[1, 1], [9, 1, 1], [1, 9, 1, 9], [4, 4, 4, 4, 4]])
def test_large_answers_go_in_several_messages_and_each_value_once(sizes: list[int]) -> None:
    objects = Objects(ME, 1)
    for seq, size in enumerate(sizes):
        objects.owned[seq] = Entry((ME, seq), 1, READY, bytes(size * MOST_LOCATED // 8))
    waiting = RequestedValues(objects)
    waiting.locate(m.Locate(FAR, list(range(len(sizes)))))
    answers = [message for _, message in said(waiting.send(), m.Located)]
    assert [seq for one in answers for seq, _ in one.values] == list(range(len(sizes)))
    assert (len(answers) > 1) is (sum(sizes) > 8)
    assert not waiting.send()
