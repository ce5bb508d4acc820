"""Who hears that the process of an actor that was told to end is gone: all who were told."""

from __future__ import annotations

import pytest
from head_play import ANNA, BEN, Play, spec, started

from nbray.ids import node_client, node_of
from nbray.runtime.core.head.actor_directory import DEAD_KEPT
from nbray.wire import messages as m


def lives(nodes: int = 1, restarts: int = 0) -> Play:
    """Anna's actor, which Ben watches, too."""
    play = Play(nodes=nodes)
    play.say(m.CreateActor(ANNA, spec(max_restarts=restarts)))
    started(play)
    play.say(m.ActorUp(1, ANNA, 5, 0, worker=42))
    play.say(m.WatchActor(BEN, ANNA, 5))
    play.sent.clear()
    return play


def lingers(play: Play, client: int) -> list[bool]:
    return [state.lingers for state in play.take(m.ActorState, client)]


def test_everybody_hears_when_it_is_gone_once() -> None:
    play = lives()
    play.say(m.EndActor(ANNA, ANNA, 5, True, "killed"))
    assert lingers(play, ANNA) == lingers(play, BEN) == [True]
    assert not play.take(m.ActorGone)
    for _ in range(2):
        play.say(m.ActorDown(node_client(1), ANNA, 5, 0, "SIGKILL"))
    for client in (ANNA, BEN):
        (gone,) = play.take(m.ActorGone, client)
        assert (gone.owner, gone.actor, gone.incarnation) == (ANNA, 5, 0)
    assert not play.brain.directory.lingering


def test_one_that_has_ended_does_not_linger() -> None:
    play = lives()
    play.say(m.ActorDown(node_client(1), ANNA, 5, 0, "SIGSEGV"))
    assert lingers(play, ANNA) == [False]
    assert not play.take(m.ActorGone)


def test_nor_one_that_has_no_place_yet() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(node=0, resources={}, placement={"CPU": 0})))
    play.brain.directory._actors[ANNA, 5].placed = False
    play.sent.clear()
    play.say(m.EndActor(ANNA, ANNA, 5, True, "its last handle went", gently=True))
    assert lingers(play, ANNA) == [False]


@pytest.mark.parametrize("restarts", [0, 1])
def test_of_one_that_is_made_again_the_earlier_life_lingers(restarts: int) -> None:
    play = lives(restarts=restarts)
    play.say(m.EndActor(ANNA, ANNA, 5, False, "killed"))
    assert lingers(play, ANNA) == [True]
    play.say(m.ActorDown(node_client(1), ANNA, 5, 0, "SIGKILL"))
    assert [gone.incarnation for gone in play.take(m.ActorGone, ANNA)] == [0]
    assert play.brain.directory._actors[ANNA, 5].incarnation == restarts


def test_it_is_gone_with_its_node() -> None:
    play = Play(nodes=2)
    play.say(m.CreateActor(ANNA, spec(node=2)))
    play.say(m.EndActor(ANNA, ANNA, 5, True, "its last handle went", gently=True))
    assert not play.take(m.ActorGone)
    play.say(m.NodeLost(node_client(1), 2, "silent"))
    assert len(play.take(m.ActorGone, ANNA)) == 1
    assert not play.brain.directory.lingering


def test_who_has_ended_is_told_nothing() -> None:
    play = lives()
    play.say(m.Died(node_client(node_of(ANNA)), [m.Death(ANNA, "ended")]))
    play.say(m.ActorDown(node_client(1), ANNA, 5, 0, "SIGKILL"))
    assert not play.take(m.ActorGone, ANNA)
    assert len(play.take(m.ActorGone, BEN)) == 1


def test_it_is_told_also_when_the_actor_has_been_forgotten() -> None:
    play = lives()
    play.say(m.EndActor(ANNA, ANNA, 5, True, "killed"))
    for number in range(10, 11 + DEAD_KEPT):
        play.say(m.CreateActor(ANNA, spec(number)))
        play.say(m.EndActor(ANNA, ANNA, number, True, "killed"))
        play.say(m.ActorDown(node_client(1), ANNA, number, 0, "SIGKILL"))
    assert (ANNA, 5) not in play.brain.directory._actors
    play.sent.clear()
    play.say(m.ActorDown(node_client(1), ANNA, 5, 0, "SIGKILL"))
    assert len(play.take(m.ActorGone, BEN)) == 1
