"""A node that may start no further process, and who hears of it."""

from __future__ import annotations

from collections import Counter

import pytest
from node_play import ANNA, BEN, Play, actor

from nbray.ids import HEAD, node_client
from nbray.options import UNIT
from nbray.runtime.core.node.scheduling.process_limit import ProcessLimit
from nbray.runtime.core.node.scheduling.workers import ASK_AGAIN, WorkerPool
from nbray.wire import messages as m

NODE = node_client(1)


def crowded(actors: int) -> Play:
    """Room for four processes, the last of them for tasks."""
    play = Play(cpus=2, cap=2)
    play.register(ANNA, driver=True)
    play.register(BEN, driver=True)
    play.sent.clear()
    for number in range(actors):
        play.say(actor(number))
    return play


@pytest.mark.parametrize("actors", [4, 5, 9])
def test_the_owner_of_an_actor_hears_why_it_is_not_started(actors: int) -> None:
    play = crowded(actors)
    assert len(play.take(m.BecomeActor)) == 3
    told = play.take(m.ActorWaits, ANNA)
    assert [one.actor for one in told] == list(range(3, actors))
    assert "4 worker processes" in told[0].why or "3 worker processes" in told[0].why


def test_it_is_started_when_another_ends() -> None:
    play = crowded(4)
    play.take(m.ActorWaits)
    play.say(m.StopActor(HEAD, ANNA, 0, 0, "killed"))
    (worker,) = play.kills()
    play.do(play.brain.worker_gone(worker, "killed", play.now))
    assert play.take(m.ActorWaits, ANNA) == [m.ActorWaits(play.brain.me, ANNA, 3, "")]
    assert len(play.take(m.BecomeActor)) == 4


def test_every_driver_is_told_once_and_not_at_once() -> None:
    play = crowded(5)
    assert not play.take(m.Printed)
    play.tick(1.1)
    (anna,) = play.take(m.Printed, ANNA)
    (_,) = play.take(m.Printed, BEN)
    assert "may have no more" in anna.text
    play.tick(5)
    play.say(actor(7))
    assert not play.take(m.Printed)


def test_plain_tasks_behind_actors_have_a_place_and_deeper_ones_are_told() -> None:
    play = crowded(9)
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.register(grant.worker)
    play.say(m.Blocked(grant.worker))
    play.demand(grant.worker, 1, depth=1)
    assert not play.granted(grant.worker)
    play.tick(6)
    (why,) = {one.why for one in play.take(m.Waiting, grant.worker)}
    assert "3 actors, 1 in tasks that run or wait" in why


def test_nothing_is_said_where_there_is_room() -> None:
    play = crowded(3)
    play.tick(9)
    assert not play.take(m.Printed)
    assert not play.take(m.ActorWaits)
    assert play.brain.process_limit.due is None


def test_who_declines_to_make_room_is_asked_again_after_a_while() -> None:
    play = Play(cpus=2, cap=0)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 2)
    grants = play.granted(ANNA)
    play.demand(ANNA, 0)
    for grant in grants:
        play.give_back(ANNA, grant)
    play.demand(ANNA, 1, shape=2, resources={"CPU": 2 * UNIT})
    asked: Counter[int] = Counter()
    for _ in range(40):
        for worker, _ in [x for x in play.sent if isinstance(x[1], m.Exit)]:
            asked[worker] += 1
            play.take(m.Exit, worker)
            play.say(m.Stays(worker))
        play.tick(ASK_AGAIN / 10)
    assert set(asked) == {grant.worker for grant in grants}
    assert set(asked.values()) <= {3, 4}, "about once in a second of four"


def test_who_was_told_is_told_again_after_a_minute() -> None:
    pool = WorkerPool(0, 1, 30.0)
    limit = ProcessLimit(NODE, 9, "m1", pool, lambda: [ANNA])
    told = [
        now for now in (0.0, 0.75, 1.0, 2.0, 60.0, 61.0, 62.0, 121.0) if limit.look("full", (), now)
    ]
    assert told == [1.0, 61.0, 121.0]


def test_a_process_that_ends_soon_enough_is_never_spoken_of() -> None:
    limit = ProcessLimit(NODE, 9, "m1", WorkerPool(0, 1, 30.0), lambda: [ANNA])
    assert not limit.look("full", (), 0.0)
    assert limit.due == 1.0
    assert not limit.look("", (), 0.5)
    assert limit.due is None
    assert not limit.look("full", (), 1.25)
    assert limit.due == 2.25


def test_a_node_with_room_for_a_process_says_nothing() -> None:
    limit = ProcessLimit(NODE, 9, "m1", WorkerPool(0, 2, 30.0), lambda: [ANNA])
    assert not limit.look("full", (), 0.0)
    assert limit.due is None
