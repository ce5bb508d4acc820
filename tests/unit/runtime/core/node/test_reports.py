"""What a node tells the head of what it has free."""

from __future__ import annotations

from node_play import ANNA, CPU, Play, actor

from nbray.ids import HEAD
from nbray.options import UNIT
from nbray.runtime.core.node.reports import LOAD_PAUSE
from nbray.wire import messages as m


def told(play: Play) -> list[float]:
    """The free CPUs of each report of the next second."""
    play.tick(1)
    return [load.available["CPU"] / UNIT for load in play.take(m.Load, HEAD)]


def playing() -> Play:
    play = Play(cpus=2)
    play.register(ANNA, driver=True)
    told(play)
    return play


def test_the_head_hears_when_something_is_taken_and_given_back() -> None:
    play = playing()
    play.demand(ANNA, 1)
    assert told(play) == [1]
    (grant,) = play.granted(ANNA)
    play.demand(ANNA, 0)
    assert told(play) == []
    play.give_back(ANNA, grant)
    assert told(play) == [2]


def test_the_head_hears_of_what_an_actor_takes() -> None:
    play = playing()
    start = actor(1)
    start.spec.resources.update(CPU)
    play.say(start)
    assert told(play) == [1]
    (worker,) = play.brain.residents.by_worker
    play.do(play.brain.worker_gone(worker, "it was killed", play.now))
    assert told(play) == [2]


def test_the_head_hears_when_something_is_lent_and_taken_again() -> None:
    play = playing()
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    told(play)
    play.say(m.Blocked(first.worker))
    assert told(play) == []  # nobody needs it
    play.demand(ANNA, 1, shape=2)
    assert play.take(m.Lend, first.worker)
    play.say(m.Lent(first.worker))
    assert told(play) == [0]
    play.demand(ANNA, 0, shape=2)
    (child,) = play.granted(ANNA)
    play.give_back(ANNA, child)
    assert told(play) == [1]
    play.say(m.Unblocked(first.worker, waits=True))
    assert play.take(m.Resume, first.worker)
    assert told(play) == [0]


def test_changes_that_follow_one_another_closely_are_told_at_once() -> None:
    play = playing()
    play.demand(ANNA, 1)
    assert len(play.take(m.Load, HEAD)) == 1  # the first goes at once
    play.demand(ANNA, 2)
    play.demand(ANNA, 0)
    for grant in play.granted(ANNA):
        play.give_back(ANNA, grant)
    assert not play.take(m.Load)
    play.tick(LOAD_PAUSE / 2)
    assert not play.take(m.Load)
    assert told(play) == [2]
