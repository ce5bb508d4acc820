"""A node that leaves gently, as playbooks."""

from __future__ import annotations

import pytest
from node_play import ANNA, CPU, Play

from nbray.config import ACTORS_SECONDS, HAND_OVER_SECONDS
from nbray.ids import DRIVER_FLAG, HEAD, client_id, node_client
from nbray.runtime.core import effects as fx
from nbray.wire import messages as m

HERE = client_id(2, DRIVER_FLAG | 1)
"""A client of the node that leaves; Anna is one of the head's node."""


@pytest.fixture
def play() -> Play:
    made = Play(number=2, others={1: 4})
    made.sent.clear()
    return made


def gone(play: Play) -> bool:
    return any(isinstance(effect, fx.Stop) for effect in play.effects)


def test_an_idle_node_leaves_at_once_and_says_that_it_was_asked(play: Play) -> None:
    play.say(m.Drain(ANNA))
    assert gone(play)
    assert play.take(m.Leave, HEAD)[0].asked


def test_what_runs_ends_first_and_nothing_new_is_taken(play: Play) -> None:
    play.demand(node_client(1), 2, origin=ANNA)
    first, second = play.granted(ANNA)
    play.say(m.Drain(ANNA))
    assert {one.lease for one in play.take(m.Reclaim, ANNA)} == {first.lease, second.lease}
    play.say(m.Drain(ANNA))
    assert not play.take(m.Reclaim), "each is asked back once"
    play.give_back(ANNA, first)
    play.demand(node_client(1), 2, origin=ANNA)
    play.tick(0.5)
    assert not play.granted(ANNA)
    assert not gone(play)
    assert play.take(m.Load, HEAD)[-1].leaving
    play.give_back(ANNA, second)
    assert gone(play)


def test_a_worker_that_is_just_being_forked_is_asked_back_when_it_is_there() -> None:
    play = Play(number=2, others={1: 4}, auto=False)
    play.demand(node_client(1), 1, origin=ANNA)
    play.say(m.Drain(ANNA))
    assert not gone(play)
    play.register(play.forked.pop(0))
    (grant,) = play.granted(ANNA)
    assert play.take(m.Reclaim, ANNA)[0].lease == grant.lease
    play.give_back(ANNA, grant)
    assert gone(play)


def test_work_of_its_own_clients_goes_elsewhere_and_is_waited_for(play: Play) -> None:
    play.register(HERE, driver=True)
    play.say(m.Drain(ANNA))
    assert gone(play), "a driver that wants nothing is not waited for"
    play = Play(number=2, others={1: 4})
    play.register(HERE, driver=True)
    play.demand(HERE, 1)
    (grant,) = play.granted(HERE)
    play.say(m.Drain(ANNA))
    play.give_back(HERE, grant)
    assert play.take(m.Demand, node_client(1))[-1].count == 1
    assert not gone(play)
    play.demand(HERE, 0)
    assert gone(play)


def test_an_actor_that_works_is_waited_for(play: Play) -> None:
    spec = m.ActorSpec(
        owner=ANNA, actor=5, name="", namespace="", class_name="A", function=b"", blob=b"",
        args=m.Value(), args_ref=(ANNA, 6), deps=[], resources=CPU, placement=CPU,
        max_restarts=0, max_concurrency=1, detached=False, get_if_exists=False, info=b"i",
        cell="", job=ANNA,
    )  # fmt: skip
    play.say(m.StartActor(HEAD, spec, 0))
    (worker,) = play.brain.residents.by_worker
    play.say(m.Worked(worker, 0, 0, 1))
    play.say(m.Drain(ANNA))
    assert not gone(play)
    play.say(m.Worked(worker, 1, 0, 0))
    assert gone(play)


def test_the_heads_own_node_does_not() -> None:
    play = Play()
    play.say(m.Drain(ANNA))
    assert not gone(play)
    assert not play.brain.drain.on


def allocate(play: Play, worker: int) -> None:
    """A worker takes room for a result of Anna's."""
    play.say(m.Allocate(worker, 1, 5_000_000, ANNA))
    (wanted,) = [effect for effect in play.effects if isinstance(effect, fx.AddSegment)]
    play.do(play.brain.storage.segment_added(1, wanted.size))


def test_what_lies_there_of_others_is_handed_over_first(play: Play) -> None:
    play.demand(node_client(1), 1, origin=ANNA)
    (grant,) = play.granted(ANNA)
    allocate(play, grant.worker)
    (slot,) = [one.slot for one in play.take(m.Allocated, grant.worker)]
    play.give_back(ANNA, grant)
    play.say(m.Drain(ANNA))
    (leaving,) = play.take(m.Leaving, ANNA)
    assert (leaving.slots, leaving.nodes) == ([slot], [1])
    assert not gone(play)
    play.say(m.Saved(ANNA, [slot]))
    assert gone(play)
    assert play.take(m.Leave, HEAD)[0].gently


def test_it_goes_without_what_nobody_takes_and_says_so(play: Play) -> None:
    play.demand(node_client(1), 1, origin=ANNA)
    (grant,) = play.granted(ANNA)
    allocate(play, grant.worker)
    play.give_back(ANNA, grant)
    play.say(m.Drain(ANNA))
    assert not gone(play)
    play.tick(HAND_OVER_SECONDS + 1)
    assert gone(play)
    assert "an object could not be brought elsewhere" in play.take(m.Leave, HEAD)[0].why


def test_an_actor_that_never_rests_is_not_waited_for_for_ever(play: Play) -> None:
    spec = m.ActorSpec(
        owner=ANNA, actor=5, name="", namespace="", class_name="A", function=b"", blob=b"",
        args=m.Value(), args_ref=(ANNA, 6), deps=[], resources=CPU, placement=CPU,
        max_restarts=1, max_concurrency=1, detached=False, get_if_exists=False, info=b"i",
        cell="", job=ANNA,
    )  # fmt: skip
    play.say(m.StartActor(HEAD, spec, 0))
    (worker,) = play.brain.residents.by_worker
    play.say(m.Worked(worker, 0, 0, 1))
    play.say(m.Drain(ANNA))
    play.tick(ACTORS_SECONDS - 1)
    assert not gone(play)
    play.tick(2)
    assert gone(play)
    assert "an actor still worked after 60 s" in play.take(m.Leave, HEAD)[0].why
