"""What the head tells the nodes, and when; what it shows of where an actor is."""

from __future__ import annotations

import pytest
from head_play import ANNA, CPU, VERSIONS, Play, info, spec, started

from nbray.events import Figures
from nbray.ids import node_client
from nbray.options import UNIT
from nbray.runtime.core.head.brain import MEMBERS_PAUSE
from nbray.wire import messages as m

ONE, TWO = node_client(1), node_client(2)
HALF = {"CPU": UNIT // 2}


def told(play: Play, seconds: float = 1.0) -> list[int]:
    """Whom it tells who is a member, and what is free."""
    play.tick(seconds)
    to = [to for to, message in play.sent if isinstance(message, m.Members)]
    play.take(m.Members)
    return sorted(to)


@pytest.fixture
def play() -> Play:
    return Play(nodes=2)


def test_all_nodes_hear_what_is_free_on_one_when_that_has_changed(play: Play) -> None:
    play.load(2, HALF)
    assert told(play) == [ONE, TWO]
    play.load(2, HALF)
    assert told(play) == []
    play.say(m.Load(TWO, HALF, Figures(), leaving=True))
    assert told(play) == [ONE, TWO]


def test_the_living_hear_once_of_a_loss_and_nothing_of_what_the_lost_says(play: Play) -> None:
    for count in (1, 0):
        play.say(m.NodeLost(ONE, 2, "silent"))
        assert len(play.take(m.NodeLost, ONE)) == count
        assert told(play) == [ONE] * count
    play.load(2, HALF)
    play.load(9, HALF)
    assert told(play) == []
    assert [one.alive for one in play.brain.membership.all()] == [True, False]


def test_changes_that_follow_one_another_closely_are_told_together(play: Play) -> None:
    play.load(2, HALF)
    assert told(play, 0) == [ONE, TWO]
    play.load(2, CPU)
    play.load(1, CPU)
    assert told(play, MEMBERS_PAUSE / 2) == []
    assert told(play) == [ONE, TWO]


def test_an_actor_is_shown_where_it_lives_and_nowhere_while_it_does_not() -> None:
    play = Play(nodes=0)
    play.say(m.Join(ONE, 0, info(1), VERSIONS))
    need = {"CPU": 2 * UNIT}
    play.say(m.CreateActor(ANNA, spec(4, resources=need, placement=need)))
    first, _ = started(play)
    assert first == ONE
    play.load(1, {"CPU": 0})
    play.say(m.CreateActor(ANNA, spec(5, resources=need, placement=need, max_restarts=1)))

    def shows(*what: int) -> None:
        record = play.brain.directory.records()[0]
        assert (record.state, record.node, record.worker, record.restarts) == what

    shows(m.PENDING, 0, 0, 0)
    play.say(m.EndActor(ANNA, ANNA, 4, True, "done"))
    play.load(1, need)
    shows(m.PENDING, 1, 0, 0)
    play.say(m.ActorUp(ONE, ANNA, 5, 0, worker=42))
    shows(m.ALIVE, 1, 42, 0)
    play.say(m.ActorDown(ONE, ANNA, 5, 0, "crashed", True))
    shows(m.RESTARTING, 1, 0, 1)
    play.say(m.ActorUp(ONE, ANNA, 5, 1, worker=43))
    shows(m.ALIVE, 1, 43, 1)
