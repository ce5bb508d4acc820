"""CPUs that waiting workers lend: who is asked, and for whom."""

from __future__ import annotations

import pytest
from node_play import ANNA, BEN, CPU, Play, actor

from nbray.ids import HEAD
from nbray.options import UNIT
from nbray.wire import messages as m


def waiting(count: int, gpus: int = 0) -> tuple[Play, list[int]]:
    """A node whose *count* CPUs belong to workers that all wait."""
    play = Play(cpus=count, gpus=gpus)
    for client in (ANNA, BEN):
        play.register(client, driver=True)
    play.demand(ANNA, count)
    workers = [grant.worker for grant in play.granted(ANNA)]
    for worker in workers:
        play.say(m.Blocked(worker))
    play.sent.clear()
    return play, workers


def asked(play: Play) -> list[int]:
    found = [to for to, message in play.sent if isinstance(message, m.Lend)]
    play.take(m.Lend)
    return found


@pytest.mark.parametrize("cpus", [1, 2, 3])
def test_as_many_are_asked_as_are_needed_and_each_once(cpus: int) -> None:
    play, workers = waiting(3)
    play.demand(BEN, 1, resources={"CPU": cpus * UNIT})
    assert asked(play) == workers[:cpus]
    play.tick(1.0)
    play.demand(BEN, 1, resources={"CPU": cpus * UNIT})
    assert not asked(play), "those who were asked have not answered yet"
    for worker in workers[:cpus]:
        play.say(m.Lent(worker))
    assert play.granted(BEN)


def test_nobody_is_asked_for_what_is_no_cpu() -> None:
    play, _ = waiting(1, gpus=1)
    play.demand(BEN, 2, resources={"GPU": UNIT})
    assert len(play.granted(BEN)) == 1
    assert not asked(play)


def test_nobody_is_asked_where_something_else_lacks_too() -> None:
    play, workers = waiting(1, gpus=1)
    play.demand(BEN, 1, resources={"GPU": UNIT})
    (grant,) = play.granted(BEN)
    play.demand(BEN, 1, shape=2, resources={**CPU, "GPU": UNIT})
    assert not asked(play)
    play.demand(BEN, 0, resources={"GPU": UNIT})
    play.give_back(BEN, grant)
    assert asked(play) == workers


def test_nobody_is_asked_for_an_actor_that_lacks_a_process_and_no_cpu() -> None:
    play = Play(cpus=1, cap=1)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.say(m.Blocked(grant.worker))
    play.say(actor(1))
    assert play.take(m.ActorWaits, ANNA)
    assert not asked(play)


@pytest.mark.parametrize("says", [[m.Blocked], [m.Blocked, m.Lent], [m.Unblocked, m.Blocked]])
def test_who_lends_already_lends_once(says: list[type]) -> None:
    play, (worker,) = waiting(1)
    play.demand(BEN, 2)
    assert asked(play) == [worker]
    play.say(m.Lent(worker))
    (grant,) = play.granted(BEN)
    for message in says:
        play.say(message(worker, waits=True) if message is m.Unblocked else message(worker))
    play.take(m.Resume)  # the answer to a second yes
    assert not asked(play)
    play.say(m.Unblocked(worker, waits=True))
    play.give_back(BEN, grant)
    assert play.take(m.Resume, worker)
    assert not play.granted(BEN)


@pytest.mark.parametrize("first", [{"GPU": UNIT}, {**CPU, "GPU": UNIT}])
def test_one_for_whom_nobody_is_asked_hides_no_other(first: m.Shape) -> None:
    play, workers = waiting(1, gpus=1)
    play.demand(BEN, 1, resources={"GPU": UNIT}, shape=1)
    assert play.granted(BEN)
    play.demand(ANNA, 1, shape=2, resources=first, depth=1)
    play.demand(BEN, 1, shape=3)
    assert asked(play) == workers


@pytest.mark.parametrize("waits", [True, False])
def test_one_who_lacks_only_a_process_hides_nobody_who_lacks_a_cpu(waits: bool) -> None:
    play = Play(cpus=1, cap=1)
    for client in (ANNA, BEN):
        play.register(client, driver=True)
    play.demand(ANNA, 1)
    play.demand(ANNA, 1, shape=2, resources={})
    first, _ = play.granted(ANNA)
    if waits:
        play.say(m.Blocked(first.worker))
    play.demand(BEN, 1, shape=1, resources={}, depth=1)
    play.take(m.Reclaim)
    play.demand(BEN, 1, shape=2)
    assert [want.stuck != "" for want in play.brain.leases.wants_of(BEN)] == [True, False]
    assert asked(play) == [first.worker] * waits
    assert [one.lease for one in play.take(m.Reclaim, ANNA)] == [first.lease]


def lent_to_another() -> tuple[Play, int]:
    """Two CPUs: one in use, the other lent by a worker that wants to go on."""
    play, (first, second) = waiting(2)
    play.say(m.Unblocked(second))
    play.demand(BEN, 1)
    assert asked(play) == [first]
    play.say(m.Lent(first))
    assert play.granted(BEN)
    return play, first


def test_a_bundle_of_other_cpus_is_no_reason_to_run_on_more_than_there_are() -> None:
    play, first = lent_to_another()
    play.brain.ledger.total["CPU"] += UNIT  # one more, and a group has it
    play.brain.ledger.free["CPU"] += UNIT
    play.say(m.ReserveBundles(HEAD, "0" * 36, {0: CPU}, 1, True))
    play.say(m.Unblocked(first, waits=True))
    assert not play.take(m.Resume, first)


def test_a_child_that_had_no_cpu_gives_none_back_with_its_end() -> None:
    play, first = lent_to_another()
    play.say(m.Unblocked(first, waits=True))
    play.demand(first, 1, resources={})
    (child,) = play.granted(first)
    play.do(play.brain.worker_gone(child.worker, "killed", play.now))
    assert not play.take(m.Resume, first)
    assert play.brain.ledger.free["CPU"] == 0
