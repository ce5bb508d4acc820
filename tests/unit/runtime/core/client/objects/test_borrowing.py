"""References as they pass between clients: what waits for an owner's word; the dead."""

from __future__ import annotations

import pytest

from nbray.ids import client_id
from nbray.runtime.core.client.objects.borrowing import Borrowing
from nbray.runtime.core.effects import Effect, Send
from nbray.wire import messages as m

ME, OWNER, OTHER, FAR = (client_id(node, 7 + node) for node in (1, 2, 3, 4))


def said(effects: list[Effect]) -> list[tuple[int, list[int]]]:
    """To whom `Unpinned` goes, of what."""
    found = []
    for effect in effects:
        assert isinstance(effect, Send)
        assert isinstance(effect.message, m.Unpinned)
        found.append((effect.to, effect.message.seqs))
    return found


@pytest.fixture
def borrowing() -> Borrowing:
    return Borrowing(ME)


def announced(borrowing: Borrowing, owner: int, *seqs: int) -> int:
    effect = borrowing.announce(owner, list(seqs))
    assert isinstance(effect, Send)
    assert effect.to == owner
    assert isinstance(effect.message, m.Borrow)
    return effect.message.token


def waits(borrowing: Borrowing, *keys: m.Ref, to: int = FAR, one: int = 1) -> list[Effect]:
    effects: list[Effect] = []
    borrowing.after_ack(set(keys), to, m.Unpinned, one, effects)
    return effects


def test_a_lender_is_told_when_all_owners_know(borrowing: Borrowing) -> None:
    first = announced(borrowing, OWNER, 1, 2)
    second = announced(borrowing, OTHER, 5)
    assert first != second
    assert said(waits(borrowing, (OWNER, 1), (OWNER, 2), (OTHER, 5), one=1)) == []
    assert said(waits(borrowing, (OWNER, 2), one=2)) == []
    assert said(borrowing.acknowledged(first)) == [(FAR, [2])]
    assert said(borrowing.acknowledged(second)) == [(FAR, [1])]
    assert said(borrowing.acknowledged(first)) == []
    assert said(waits(borrowing, (OWNER, 1), (OTHER, 5), one=3)) == [(FAR, [3])]
    assert not borrowing.unacknowledged
    assert not borrowing.put_off


def test_only_the_last_of_several_announcements_makes_it_known(borrowing: Borrowing) -> None:
    first = announced(borrowing, OWNER, 1)
    second = announced(borrowing, OWNER, 1)
    borrowing.acknowledged(first)
    assert said(waits(borrowing, (OWNER, 1))) == []
    assert said(borrowing.acknowledged(second)) == [(FAR, [1])]


@pytest.mark.parametrize("node", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_the_dead_are_told_nothing(borrowing: Borrowing, node: bool, before: bool) -> None:
    def dies() -> None:
        if node:
            assert borrowing.node_died(4, b"its node is gone")
            assert not borrowing.node_died(4, b"again")
        else:
            borrowing.client_died(FAR, b"it is dead")

    token = announced(borrowing, OWNER, 1)
    if before:
        dies()
    waits(borrowing, (OWNER, 1))
    if not before:
        dies()
    assert said(borrowing.acknowledged(token)) == []
    assert said(waits(borrowing, (OWNER, 1))) == []
    assert said(waits(borrowing, (OWNER, 1), to=OTHER)) == [(OTHER, [1])]
    assert borrowing.lost(FAR) == (b"its node is gone" if node else b"it is dead")
    assert borrowing.lost(OTHER) is None


def test_a_dead_owners_word_is_waited_for_no_longer(borrowing: Borrowing) -> None:
    announced(borrowing, OWNER, 1, 2)
    announced(borrowing, OTHER, 5)
    waits(borrowing, (OWNER, 1), (OTHER, 5), one=1)
    waits(borrowing, (OWNER, 1), (OWNER, 2), one=2)
    effects: list[Effect] = []
    assert borrowing.forget(lambda client: client == OWNER, effects) == []
    assert said(effects) == [(FAR, [2])]
    assert set(borrowing.unacknowledged) == {(OTHER, 5)}
    assert len(borrowing.tokens) == 1


def test_what_was_lent_is_held_until_its_receiver_has_spoken_or_died(
    borrowing: Borrowing,
) -> None:
    one, two, three = (OWNER, 1), (OWNER, 2), (OTHER, 3)
    borrowing.lend(FAR, 7, (one,))
    borrowing.lend(FAR, 7, (two,))
    borrowing.lend(FAR, -7, (three,))
    borrowing.lend(OTHER, 7, (one, three))
    assert borrowing.returned(FAR, [7, 99]) == [one, two]
    assert borrowing.returned(FAR, [7]) == []
    effects: list[Effect] = []
    assert borrowing.forget(lambda client: client == FAR, effects) == [three]
    assert borrowing.forget(lambda client: client == FAR, effects) == []
    assert borrowing.returned(OTHER, [7]) == [one, three]


def test_what_goes_to_one_receiver_at_a_time_is_said_once(borrowing: Borrowing) -> None:
    effects: list[Effect] = []
    for to, one in ((FAR, 1), (OTHER, 2), (FAR, 3)):
        borrowing.after_ack(set(), to, m.Unpinned, one, effects)
    assert said(effects) == [(FAR, [1, 3]), (OTHER, [2])]
    borrowing.gathered()
    borrowing.after_ack(set(), FAR, m.Unpinned, 4, effects)
    assert said(effects) == [(FAR, [1, 3]), (OTHER, [2]), (FAR, [4])]
