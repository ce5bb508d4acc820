"""Slots of dead owners that somebody still views: what their nodes hear of it."""

from __future__ import annotations

import pytest

from nbray.ids import client_id, node_client
from nbray.runtime.core.client.objects.borrowing import Orphans
from nbray.runtime.core.effects import Effect, Send
from nbray.wire import messages as m

ME, OWNER, NODE = client_id(1, 5), client_id(1, 7), node_client(1)
FIRST, SECOND, THIRD = (m.Slot(1, 0, 100 * number, 100, 1) for number in (1, 2, 3))


def held(effects: list[Effect]) -> list[set[m.Slot]]:
    said = []
    for effect in effects:
        assert isinstance(effect, Send)
        assert effect.to == NODE
        assert isinstance(effect.message, m.Held)
        assert effect.message.owner == OWNER
        said.append(set(effect.message.slots))
    return said


def test_a_node_hears_what_is_viewed_and_each_time_something_is_let_go() -> None:
    orphans = Orphans(ME)
    asked = m.WhatHeld(NODE, OWNER, [FIRST, SECOND])
    assert held(orphans.what_held(asked, {FIRST, SECOND, THIRD}, 1.0)) == [{FIRST, SECOND}]
    assert orphans.due == 2.0, "also a client at rest looks again"
    assert held(orphans.let_go(lambda: {FIRST, SECOND}, 1.5)) == []
    assert held(orphans.let_go(lambda: {SECOND, THIRD}, 1.5)) == [{SECOND}]
    assert held(orphans.let_go(lambda: {FIRST, SECOND, THIRD}, 1.5)) == [], "FIRST is gone for good"
    assert orphans.due == 2.5
    assert held(orphans.let_go(set, 2.5)) == [set()]
    assert orphans.due is None
    assert held(orphans.let_go(set, 2.5)) == []


@pytest.mark.parametrize("viewed", [set(), {THIRD}])
def test_a_node_of_whose_slots_none_is_viewed_hears_so_once(viewed: set[m.Slot]) -> None:
    orphans = Orphans(ME)
    asked = m.WhatHeld(NODE, OWNER, [FIRST, SECOND])
    assert held(orphans.what_held(asked, viewed, 1.0)) == [set()]

    def looks() -> set[m.Slot]:
        raise AssertionError("nothing is held: nobody need look")

    assert orphans.let_go(looks, 1.0) == []
