"""The node's brain as playbooks: messages in, effects out."""

from __future__ import annotations

import pytest
from node_play import ANNA, BEN, CPU, FAR, Play, with_two_drivers

from nbray.ids import DRIVER_FLAG, HEAD, client_id, node_client
from nbray.options import UNIT
from nbray.runtime.core import effects as fx
from nbray.wire import messages as m


@pytest.fixture
def play() -> Play:
    return with_two_drivers()


def test_a_driver_is_welcomed_and_watched() -> None:
    play = Play()
    play.register(ANNA, driver=True)
    assert play.take(m.Registered, ANNA)[0].cluster == 99
    assert fx.WatchPid(ANNA, ANNA & 0xFFFF) in play.effects


@pytest.mark.parametrize("number", [1, 2])
def test_the_head_s_node_introduces_itself_and_no_other_does(number: int) -> None:
    """The answer is for itself: a ticket would send it to a node that has no number yet."""
    brain = Play(number=number).brain
    for effects in (brain.start(100.0), brain.moved("10.0.0.9", "10.0.0.9:1") * (number == 1)):
        joins = [e.message for e in effects if isinstance(e, fx.Send) and e.to == HEAD]
        asked = [(one.ticket, one.info.number) for one in joins if isinstance(one, m.Join)]
        assert asked == [(0, 1)] * (number == 1)


def test_another_python_is_refused() -> None:
    play = Play()
    play.say(m.Register(ANNA, 1, True, m.Versions(1, "3.12.1", "0.1")))
    (refused,) = play.take(m.Refused, ANNA)
    assert "3.12.1 here" in refused.why
    assert not play.take(m.Registered)


@pytest.mark.parametrize("driver", [True, False])
def test_a_worker_of_another_python_ends(driver: bool) -> None:
    play = Play()
    play.say(m.Register(ANNA, 1, driver, m.Versions(1, "3.12.1", "0.1")))
    assert len(play.take(m.Exit, ANNA)) == (not driver)


def test_a_lease_is_left_alone_from_when_its_worker_is_there() -> None:
    play = Play(cpus=1, auto=False)
    for client in (ANNA, BEN):
        play.register(client, driver=True)
    play.demand(ANNA, 100)
    play.tick(1)  # its process takes long to start
    play.register(play.forked.pop())
    assert play.granted(ANNA)
    play.demand(BEN, 1)
    assert not play.take(m.Reclaim, ANNA)
    play.tick(0.03)
    assert play.take(m.Reclaim, ANNA)


def test_workers_are_started_before_anybody_asks() -> None:
    play = Play(ready=2, auto=False)
    assert len(play.forked) == 2


def test_demand_is_granted_up_to_what_is_free(play: Play) -> None:
    play.demand(ANNA, 5)
    first, second = play.granted(ANNA)
    assert first.lease != second.lease
    assert first.worker != second.worker
    play.give_back(ANNA, first)
    play.demand(ANNA, 5)
    assert len(play.granted(ANNA)) == 1
    assert play.brain.ledger.free == {"CPU": 0}


def test_a_worker_serves_again(play: Play) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.demand(ANNA, 0)
    play.give_back(ANNA, grant)
    play.demand(BEN, 1)
    assert play.granted(BEN)[0].worker == grant.worker


def test_demand_is_absolute_and_can_be_withdrawn(play: Play) -> None:
    play.demand(ANNA, 2)
    play.granted(ANNA)
    play.demand(BEN, 2)
    play.demand(BEN, 0)
    assert not play.granted(BEN)
    assert (BEN, 1) not in play.brain.leases.wants


def test_a_lease_that_was_not_needed_is_not_pushed_again_at_once(play: Play) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.give_back(ANNA, grant)
    assert not play.granted(ANNA)
    play.tick(0.1)
    assert play.granted(ANNA)


def test_clients_are_served_in_turn() -> None:
    play = Play(cpus=4)
    for client in (ANNA, BEN):
        play.register(client, driver=True)
    blocker = client_id(1, DRIVER_FLAG | 9)
    play.register(blocker, driver=True)
    play.demand(blocker, 4)
    grants = play.granted(blocker)
    play.demand(ANNA, 4)
    play.demand(BEN, 4)
    play.demand(blocker, 0)
    for grant in grants:
        play.give_back(blocker, grant)
    assert len(play.granted(ANNA)) == 2
    assert len(play.granted(BEN)) == 2


def test_the_deepest_is_served_first(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.demand(ANNA, 5, depth=0)
    play.demand(BEN, 1, depth=1)
    play.give_back(ANNA, first)
    assert play.granted(BEN)
    assert not play.granted(ANNA)


def test_nothing_is_planned_where_nothing_waits(play: Play) -> None:
    play.tick(60)
    play.demand(ANNA, 1)
    assert play.brain.next_deadline(play.now + 1) is None


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_who_is_deeper_gives_nothing_back_to_who_is_not(play: Play, depth: int) -> None:
    play.demand(ANNA, 100, depth=1)
    play.granted(ANNA)
    play.demand(BEN, 1, depth=depth)
    play.tick(0.03)
    assert len(play.take(m.Reclaim, ANNA)) == (depth >= 1)


def test_a_fair_share_is_asked_back_once(play: Play) -> None:
    play.demand(ANNA, 100)
    grants = play.granted(ANNA)
    play.demand(BEN, 100)
    play.tick(0.03)
    (reclaim,) = play.take(m.Reclaim, ANNA)
    assert reclaim.lease in {grant.lease for grant in grants}
    play.give_back(ANNA, next(g for g in grants if g.lease == reclaim.lease))
    assert len(play.granted(BEN)) == 1
    play.tick(1)
    assert not play.take(m.Reclaim)


def test_who_has_all_it_wants_is_asked_at_once(play: Play) -> None:
    play.demand(ANNA, 2)
    play.granted(ANNA)
    play.demand(BEN, 1)
    assert len(play.take(m.Reclaim, ANNA)) == 2  # only Anna knows which of them is idle


def test_one_client_has_its_shapes_served_in_turn() -> None:
    play = Play(cpus=1)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 50, shape=1)
    (grant,) = play.granted(ANNA)
    play.demand(ANNA, 1, shape=2)
    play.tick(0.03)
    assert play.take(m.Reclaim, ANNA) == [m.Reclaim(node_client(1), grant.lease)]


def test_small_shapes_do_not_starve_a_large_one(play: Play) -> None:
    play.demand(ANNA, 100)
    first, second = play.granted(ANNA)
    play.demand(BEN, 1, resources={"CPU": 2 * UNIT})
    play.tick(0.1)
    assert len(play.take(m.Reclaim, ANNA)) == 2
    play.give_back(ANNA, first)
    assert not play.granted(ANNA)  # what is free is kept for Ben
    play.give_back(ANNA, second)
    assert play.granted(BEN)


def lends(play: Play, worker: int) -> bool:
    """Whether a blocked worker is asked for its CPUs; it agrees."""
    if not play.take(m.Lend, worker):
        return False
    play.say(m.Lent(worker))
    return True


def test_a_blocked_worker_lends_its_cpu_and_has_it_again(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.say(m.Blocked(first.worker))
    assert not lends(play, first.worker)  # nobody lacks it
    play.demand(first.worker, 1, depth=1)
    assert not play.granted(first.worker)
    assert lends(play, first.worker)
    (child,) = play.granted(first.worker)
    play.say(m.Unblocked(first.worker, waits=True))
    assert not play.take(m.Resume)  # its child runs
    play.tick(0.06)  # Anna does not give hers back
    assert play.take(m.Reclaim, first.worker)
    play.say(m.Returned(first.worker, child.lease, child.worker))
    assert play.take(m.Resume, first.worker)
    assert play.brain.ledger.free == {"CPU": 0}


def test_who_goes_on_comes_before_new_work(play: Play) -> None:
    play.demand(ANNA, 3)
    first, second = play.granted(ANNA)
    play.say(m.Blocked(first.worker))
    assert lends(play, first.worker)
    (third,) = play.granted(ANNA)
    play.say(m.Unblocked(first.worker, waits=True))
    play.demand(BEN, 1, depth=9)
    play.give_back(ANNA, second)
    assert play.take(m.Resume, first.worker)
    assert not play.granted(BEN)
    play.give_back(ANNA, third)
    assert play.granted(BEN)


def test_who_agrees_too_late_lends_nothing(play: Play) -> None:
    play.demand(ANNA, 3)
    first, _ = play.granted(ANNA)
    play.say(m.Blocked(first.worker))
    assert play.take(m.Lend, first.worker)
    play.say(m.Unblocked(first.worker))
    play.say(m.Lent(first.worker))  # it was on its way
    assert play.take(m.Resume, first.worker)
    assert play.brain.ledger.free == {"CPU": 0}
    assert not play.granted(ANNA)


def test_who_lent_and_has_ended_lends_nothing_more(play: Play) -> None:
    play.demand(ANNA, 3)
    first, _ = play.granted(ANNA)
    play.say(m.Blocked(first.worker))
    assert lends(play, first.worker)
    assert play.granted(ANNA)
    play.demand(ANNA, 0)
    play.give_back(ANNA, first)
    assert play.take(m.Resume, first.worker)
    assert play.brain.ledger.free == {"CPU": 0}


def test_who_runs_on_its_childs_cpu_keeps_it_when_the_child_dies(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.say(m.Blocked(first.worker))
    play.demand(first.worker, 1, depth=1)
    assert lends(play, first.worker)
    (child,) = play.granted(first.worker)
    play.demand(first.worker, 0, depth=1)
    play.demand(BEN, 1)
    play.do(play.brain.worker_gone(child.worker, "crashed", play.now))
    assert play.take(m.Resume, first.worker)
    assert not play.granted(BEN)
    assert play.brain.ledger.free == {"CPU": 0}


def test_who_will_not_wait_any_longer_goes_on(play: Play) -> None:
    play.demand(ANNA, 3)
    first, _ = play.granted(ANNA)
    play.say(m.Blocked(first.worker))
    assert lends(play, first.worker)
    assert play.granted(ANNA)
    play.say(m.Unblocked(first.worker, waits=True))
    play.say(m.Unblocked(first.worker))
    assert play.brain.ledger.free == {"CPU": -UNIT}


def test_zero_shapes_are_granted_and_bounded(play: Play) -> None:
    play.demand(ANNA, 50, resources={})
    assert len(play.granted(ANNA)) == 4


def test_worker_threads_follow_the_shape(play: Play) -> None:
    play.demand(ANNA, 1, resources={"CPU": 2 * UNIT})
    assert any(isinstance(e, fx.Fork) and e.threads == 2 for e in play.effects)


def test_gpus_are_named() -> None:
    play = Play(gpus=2)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 2, resources={"GPU": UNIT})
    assert [grant.gpus for grant in play.granted(ANNA)] == [[0], [1]]


def test_the_cap_on_processes_is_explained() -> None:
    play = Play(cpus=1, cap=1)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 4, resources={}, shape=1)
    assert len(play.granted(ANNA)) == 2
    play.register(BEN, driver=True)
    play.demand(BEN, 1, resources={})
    play.tick(6)
    (waiting,) = play.take(m.Waiting, BEN)
    assert "may have no more" in waiting.why


def test_impossible_demand_is_refused_at_once(play: Play) -> None:
    play.demand(ANNA, 1, resources={"CPU": 9 * UNIT})
    (never,) = play.take(m.Infeasible, ANNA)
    assert "9 CPUs" in never.why


def test_waiting_is_explained_after_a_while_and_taken_back(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.demand(BEN, 1)
    play.tick(4.9)
    assert not play.take(m.Waiting)
    play.tick(0.2)
    assert "1 CPU" in play.take(m.Waiting, BEN)[0].why
    play.give_back(ANNA, first)
    assert play.granted(BEN)
    assert play.take(m.Waiting, BEN)[0].why == ""


# -- more than one node ---------------------------------------------------------------


def test_what_fits_here_asks_nobody() -> None:
    play = Play(others={2: 2})
    play.register(ANNA, driver=True)
    play.demand(ANNA, 2)
    assert len(play.granted(ANNA)) == 2
    assert not play.take(m.Demand)


def test_what_is_unmet_is_asked_of_others_and_withdrawn() -> None:
    play = Play(others={2: 2})
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1024)
    (asked,) = play.take(m.Demand, node_client(2))
    assert (asked.origin, asked.count) == (ANNA, 2)
    play.say(m.Holding(node_client(2), ANNA, 1, 2))
    assert not play.take(m.Demand)
    play.demand(ANNA, 4)
    assert not play.take(m.Demand)
    play.demand(ANNA, 0)
    (withdrawn,) = play.take(m.Demand, node_client(2))
    assert withdrawn.count == 0


def test_leases_elsewhere_count() -> None:
    play = Play(others={2: 2})
    play.register(ANNA, driver=True)
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.demand(ANNA, 3)
    play.say(m.Holding(node_client(2), ANNA, 1, 1))
    play.give_back(ANNA, first)
    play.tick(0.1)
    assert len(play.granted(ANNA)) == 1


def test_another_nodes_client_is_granted_directly() -> None:
    play = Play(number=2, others={1: 2})
    play.say(m.Demand(node_client(1), 7, CPU, 1, 0, 0, FAR - client_id(1, 0)))
    origin = FAR - client_id(1, 0)
    (grant,) = play.granted(origin)
    assert grant.shape == 7
    assert play.take(m.Holding, node_client(1)) == [m.Holding(node_client(2), origin, 7, 1)]
    play.say(m.Returned(origin, grant.lease, grant.worker))
    assert play.take(m.Holding, node_client(1))[-1].count == 0


def test_pinned_work_goes_only_there() -> None:
    play = Play(others={2: 2, 3: 2})
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1, node=3)
    assert not play.granted(ANNA)
    assert [to for to, x in play.sent if isinstance(x, m.Demand)] == [node_client(3)]
    play.demand(ANNA, 1, node=9, shape=2)
    assert play.take(m.Infeasible, ANNA)


def test_a_lost_node_ends_what_it_had_here() -> None:
    play = Play(number=1, others={2: 2})
    play.register(ANNA, driver=True)
    play.say(m.Demand(node_client(2), 7, CPU, 1, 0, 0, FAR))
    (grant,) = play.granted(FAR)
    play.say(m.NodeLost(HEAD, 2, "gone"))
    assert play.take(m.NodeLost, ANNA)
    assert play.kills() == [grant.worker]
    play.do(play.brain.worker_gone(grant.worker, "killed", play.now))
    assert play.brain.ledger.free == {"CPU": 2 * UNIT}


def test_without_the_head_the_node_ends() -> None:
    play = Play(number=2, others={1: 2})
    play.say(m.NodeLost(node_client(2), 1, "silent"))
    assert any(isinstance(e, fx.Stop) for e in play.effects)


# -- deaths -----------------------------------------------------------------------------


def test_a_dead_worker_is_announced_and_its_cpu_free(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.do(play.brain.worker_gone(first.worker, "was killed by SIGSEGV", play.now))
    death = m.Death(first.worker, "was killed by SIGSEGV")
    assert play.take(m.Died, ANNA)[0].deaths == [death]
    assert play.take(m.Died, BEN)
    assert play.take(m.Died, HEAD)
    assert len(play.granted(ANNA)) == 1  # the want still stands


def test_killing_a_worker_is_intended(play: Play) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.say(m.KillWorker(ANNA, grant.worker, "cancelled with force"))
    assert play.kills() == [grant.worker]
    play.do(play.brain.worker_gone(grant.worker, "SIGKILL", play.now))
    death = play.take(m.Died, ANNA)[0].deaths[0]
    assert (death.intended, death.cause) == (True, "cancelled with force")


def test_a_dead_driver_leaves_nothing(play: Play) -> None:
    play.demand(ANNA, 5)
    grants = play.granted(ANNA)
    play.do(play.brain.client_gone(ANNA, "ended", play.now))
    assert sorted(play.kills()) == sorted(grant.worker for grant in grants)
    for grant in grants:
        play.do(play.brain.worker_gone(grant.worker, "SIGKILL", play.now))
    assert play.brain.ledger.free == play.brain.ledger.total
    assert not play.brain.leases.wants
    assert fx.Forget(ANNA) in play.effects
    assert play.take(m.Died, BEN)


def test_workers_that_die_at_their_start_pause_the_forking() -> None:
    play = Play(ready=1, auto=False)
    for _ in range(3):
        worker = play.forked.pop()
        play.do(play.brain.worker_gone(worker, "exited with code 1", play.now))
    assert not play.forked
    play.tick(1.1)
    assert play.forked


def test_idle_workers_beyond_the_ready_ones_are_asked_to_end() -> None:
    play = Play(ready=1)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 2)
    grants = play.granted(ANNA)
    play.demand(ANNA, 0)
    for grant in grants:
        play.give_back(ANNA, grant)
    play.tick(29)
    assert not play.take(m.Exit)
    play.tick(2)
    assert len(play.take(m.Exit)) == 1


def test_stop_ends_everything_in_order(play: Play) -> None:
    play.say(m.Exit(ANNA, "asked for"))
    assert {to for to, x in play.sent if isinstance(x, m.Exit)} == {ANNA, BEN}
    assert any(isinstance(e, fx.Stop) for e in play.effects)
    assert not play.brain.handle(m.Demand(ANNA, 1, CPU, 1), play.now)
