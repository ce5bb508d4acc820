"""What clients ask a node for: whose turn it is, and what those who ask for others hear."""

from __future__ import annotations

import pytest
from node_play import ANNA, CPU, FAR, Play

from nbray.ids import node_client
from nbray.options import UNIT
from nbray.wire import messages as m

OTHER_NODE = node_client(2)


def asks(play: Play, count: int, shape: int = 1) -> None:
    """Another node asks for its client."""
    play.say(m.Demand(OTHER_NODE, shape, CPU, count, 0, 0, FAR))


def told(play: Play) -> list[tuple[int, int]]:
    """(shape, leases here) as the other node has heard since the last look."""
    return [(one.shape, one.count) for one in play.take(m.Holding, OTHER_NODE)]


def dies(play: Play, worker: int) -> None:
    play.do(play.brain.worker_gone(worker, "killed", play.now))


@pytest.mark.parametrize("waits", [True, False])
def test_who_has_lost_his_last_worker_comes_after_who_has_waited_meanwhile(waits: bool) -> None:
    play = Play(cpus=1)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 2)
    (grant,) = play.granted(ANNA)
    play.now += 1
    if waits:
        play.demand(ANNA, 1, shape=2)
    play.now += 1
    dies(play, grant.worker)
    assert [one.shape for one in play.granted(ANNA)] == [2 if waits else 1]


def test_who_has_workers_left_is_served_for_since_when_he_has_waited() -> None:
    play = Play(cpus=2)
    play.register(ANNA, driver=True)
    asks(play, 3)
    first, _ = play.granted(FAR)
    play.now += 1
    asks(play, 1, shape=2)
    play.now += 1
    dies(play, first.worker)
    assert [one.shape for one in play.granted(FAR)] == [1]


def test_who_wanted_nothing_for_a_while_comes_after_who_has_waited_meanwhile() -> None:
    play = Play(cpus=2)
    asks(play, 2)
    first, _ = play.granted(FAR)
    play.now += 1
    asks(play, 0)
    play.now += 1
    asks(play, 1, shape=2)
    play.now += 1
    asks(play, 3)
    dies(play, first.worker)
    assert [one.shape for one in play.granted(FAR)] == [2]


def test_who_asks_again_and_again_is_told_why_he_waits() -> None:
    play = Play(cpus=1, others={2: 1})
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1)
    play.demand(ANNA, 1, shape=2, resources={"CPU": UNIT}, depth=0)
    for count in range(1, 6):
        play.tick(0.9)
        play.demand(ANNA, count, shape=2)
    assert not play.take(m.Waiting)
    play.tick(1)
    (waiting,) = play.take(m.Waiting, ANNA)
    assert waiting.shape == 2


def test_who_asks_for_another_hears_how_many_leases_that_one_has() -> None:
    play = Play(cpus=2)
    asks(play, 3)
    assert told(play) == [(1, 2)]
    first, second = play.granted(FAR)
    asks(play, 1)
    assert told(play) == []
    play.give_back(FAR, first)
    assert told(play) == [(1, 1)]
    asks(play, 0)
    play.give_back(FAR, second)
    assert told(play) == [(1, 0)]
    assert not play.brain.leases.wants


def test_the_node_of_a_client_hears_nothing_of_it() -> None:
    play = Play(cpus=2, others={2: 2})
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.demand(ANNA, 0)
    play.give_back(ANNA, grant)
    assert not play.take(m.Holding)


def test_nothing_is_remembered_of_who_never_wanted_anything() -> None:
    play = Play()
    play.register(ANNA, driver=True)
    play.demand(ANNA, 0)
    asks(play, 0)
    assert not play.brain.leases.wants


def test_who_gave_a_worker_back_and_asks_again_need_not_rest() -> None:
    play = Play(cpus=1)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.give_back(ANNA, grant)
    assert not play.granted(ANNA)
    play.demand(ANNA, 1)
    assert play.granted(ANNA)
