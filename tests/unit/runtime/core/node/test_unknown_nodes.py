"""What comes from a node of which nobody has told yet: it has joined a moment ago."""

from __future__ import annotations

import pytest
from node_play import ANNA, CPU, FAR, Play

from nbray.ids import HEAD, node_client
from nbray.options import UNIT
from nbray.wire import messages as m

SECOND = node_client(2)


def member(number: int, alive: bool = True) -> m.NodeInfo:
    shape = {"CPU": 4 * UNIT}
    return m.NodeInfo(number, f"m{number}", "10.0.0.2", 7000, shape, shape, alive=alive)


def test_its_clients_are_given_workers() -> None:
    play = Play()
    play.say(m.Demand(SECOND, 1, CPU, 2, 0, 0, FAR))
    assert len(play.granted(FAR)) == 2


def test_and_still_have_them_when_it_is_known() -> None:
    play = Play()
    play.say(m.Demand(SECOND, 1, CPU, 2, 0, 0, FAR))
    play.say(m.Members(HEAD, [member(1), member(2)]))
    assert len(play.granted(FAR)) == 2
    assert (FAR, 1) in play.brain.leases.wants


@pytest.mark.parametrize("lost", [False, True])
def test_who_is_dead_is_given_nothing(lost: bool) -> None:
    play = Play(others={2: 4})
    if lost:
        play.say(m.NodeLost(HEAD, 2, "no sign of life"))
    else:
        play.say(m.Members(HEAD, [member(1), member(2, alive=False)]))
    play.say(m.Demand(SECOND, 1, CPU, 2, 0, 0, FAR))
    assert not play.granted(FAR)


def test_its_objects_are_fetched() -> None:
    play = Play()
    play.register(ANNA, driver=True)
    play.say(m.Fetch(ANNA, 1, FAR, 8, [m.Slot(2, 5, 4096, 100, 1)]))
    play.do(play.brain.storage.segment_added(17, 64 << 20))
    assert play.take(m.Pull, SECOND)
    assert not play.take(m.Fetched)
