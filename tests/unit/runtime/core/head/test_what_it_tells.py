"""What the head tells the nodes, and when; what it shows of where an actor is."""

from __future__ import annotations

import pytest
from head_play import ANNA, BEN, CPU, VERSIONS, Play, info, spec, started

from nbray.events import Figures
from nbray.ids import client_id, node_client
from nbray.options import UNIT
from nbray.runtime.core.head import actor_directory
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


def test_an_actor_of_a_lost_node_lives_again_when_there_is_room() -> None:
    play = Play(nodes=2)
    need = {"CPU": 2 * UNIT}
    for number in (4, 5):
        play.say(m.CreateActor(ANNA, spec(number, resources=need, placement=need, max_restarts=1)))
    play.load(1, {"CPU": 0})
    play.take(m.StartActor)
    lost = next(one for one in play.brain.directory.records() if one.node == 2)
    play.say(m.NodeLost(ONE, 2, "silent"))
    play.say(m.ActorUp(TWO, ANNA, lost.actor, 0, worker=42))  # it was on its way
    assert not play.take(m.StartActor)
    play.say(m.Join(0, 3, info(0), VERSIONS))
    to, start = started(play)
    assert (to, start.spec.actor, start.incarnation) == (node_client(3), lost.actor, 1)


@pytest.mark.parametrize("restarts", [0, 1])
def test_an_actor_s_place_is_free_when_its_process_has_ended(restarts: int) -> None:
    """Its node need not have said so, and is not told to end it."""
    play = Play()
    need = {"CPU": 2 * UNIT}
    play.say(m.CreateActor(ANNA, spec(resources=need, placement=need, max_restarts=restarts)))
    started(play)
    play.load(1, {"CPU": 0})
    play.say(m.ActorDown(ONE, ANNA, 5, 0, "crashed", True))
    assert [one.incarnation for one in play.take(m.StartActor, ONE)] == [1] * restarts
    assert not play.take(m.StopActor)


@pytest.mark.parametrize(
    "gone",
    [m.Goodbye(ANNA), m.Watch(ANNA, on=False), m.NodeLost(node_client(1), 2, "silent")],
)
def test_who_looks_no_more_is_sent_no_picture(gone: m.Message) -> None:
    far = client_id(2, 5)
    play = Play(nodes=3)
    for watcher in (ANNA, BEN, far):
        play.say(m.Watch(watcher))
    play.sent.clear()
    play.say(gone)
    play.load(1, {"CPU": 1})
    play.tick(1)
    seen = {to for to, told in play.sent if isinstance(told, m.Picture)}
    assert seen == ({ANNA} if isinstance(gone, m.NodeLost) else {BEN, far})


@pytest.mark.parametrize("how", ["early", "ended", "clients"])
def test_the_oldest_of_what_is_gone_is_forgotten(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor_directory, "GONE_KEPT", 3)
    monkeypatch.setattr(actor_directory, "DEAD_KEPT", 0)
    play = Play()
    for number in range(1, 6):
        if how == "clients":
            play.say(m.Died(node_client(1), [m.Death(client_id(1, number), "killed")]))
            continue
        if how == "ended":
            play.say(m.CreateActor(ANNA, spec(number)))
        play.say(m.EndActor(ANNA, ANNA, number, True, f"cause {number}"))
    play.sent.clear()
    for number in range(1, 6):
        key = (client_id(1, number), 1) if how == "clients" else (ANNA, number)
        play.say(m.WatchActor(BEN, *key))
    told = [one.cause for one in play.take(m.ActorState, BEN)]
    if how == "clients":
        assert told == ["its owner has died"] * 3
    else:
        assert told == ["cause 3", "cause 4", "cause 5"]
