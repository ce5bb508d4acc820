"""The head's brain as playbooks: membership, the actors' directory, the picture."""

from __future__ import annotations

import pytest
from head_play import ANNA, BEN, CPU, VERSIONS, Play, info, spec, started

from nbray.events import Figures
from nbray.ids import OWN_CELL, node_client
from nbray.options import UNIT
from nbray.runtime.core.head.actor_directory import DEAD_KEPT
from nbray.runtime.core.head.brain import HeadBrain
from nbray.wire import messages as m

# -- membership -------------------------------------------------------------------------


def test_nodes_get_numbers_that_are_never_used_again() -> None:
    play = Play()
    play.say(m.Join(0, 123, info(0), VERSIONS))
    (welcome,) = play.take(m.Welcome, node_client(1))
    assert (welcome.ticket, welcome.number, welcome.cluster) == (123, 2, 77)
    play.say(m.NodeLost(node_client(1), 2, "silent"))
    play.say(m.Join(0, 124, info(0), VERSIONS))
    assert play.take(m.Welcome)[-1].number == 3


def test_the_same_ticket_gets_the_same_number() -> None:
    play = Play()
    play.say(m.Join(0, 123, info(0), VERSIONS))
    play.say(m.Join(0, 123, info(0), VERSIONS))
    assert [welcome.number for welcome in play.take(m.Welcome)] == [2, 2]


def test_other_versions_are_refused_with_the_table() -> None:
    play = Play()
    play.say(m.Join(0, 9, info(0), m.Versions(1, "3.12.0", "0.2")))
    (refused,) = play.take(m.Refused)
    assert refused.ticket == 9
    assert refused.why == (
        "versions differ (Python: 3.11.7 in the cluster, 3.12.0 here; "
        "nbray: 0.1 in the cluster, 0.2 here): use Python 3.11 here"
    )
    assert not play.take(m.Members)


def test_members_are_told_at_a_bounded_rate() -> None:
    play = Play(nodes=2)
    for free in range(20):
        play.load(2, {"CPU": free})
    assert len(play.take(m.Members, node_client(1))) <= 1
    play.tick(0.02)
    told = play.take(m.Members, node_client(1))[-1]
    assert {n.number: n.available for n in told.nodes}[2] == {"CPU": 19}


def test_a_lost_node_is_announced_once() -> None:
    play = Play(nodes=3)
    play.say(m.NodeLost(node_client(1), 2, "silent for 8 s"))
    play.say(m.NodeLost(node_client(1), 2, "silent for 8 s"))
    told = play.take(m.NodeLost)
    assert len(told) == 2  # to nodes 1 and 3
    assert "silent for 8 s" in told[0].why
    play.load(2, CPU)
    assert not play.brain.membership.nodes[2].alive


def test_only_the_heads_own_machine_says_who_is_gone() -> None:
    play = Play(nodes=3)
    play.say(m.NodeLost(node_client(3), 1, "I cannot see it"))
    assert not play.take(m.NodeLost)


def test_of_two_nodes_that_have_lost_messages_the_younger_goes() -> None:
    play = Play(nodes=4)
    play.say(m.NodeLost(node_client(2), 3, "it has given me up"))
    play.say(m.NodeLost(node_client(3), 2, "it has given me up"))
    assert {told.node for told in play.take(m.NodeLost)} == {3}
    play.say(m.NodeLost(node_client(3), 4, "it has given me up"))  # 3 is out itself
    assert not play.take(m.NodeLost)


def test_a_node_that_joins_again_is_another_one_and_the_old_one_is_gone() -> None:
    play = Play(nodes=3)
    play.say(m.Watch(ANNA))
    play.say(m.Join(0, 123, info(0), VERSIONS, was=2))
    assert {told.node for told in play.take(m.NodeLost)} == {2}
    assert play.take(m.Welcome)[-1].number == 4
    play.tick(1)
    assert [node.number for node in play.take(m.Picture)[-1].nodes] == [1, 3, 4]


def test_a_node_that_was_lost_before_it_joins_again_is_not_shown_twice() -> None:
    play = Play(nodes=2)
    play.say(m.Watch(ANNA))
    play.say(m.NodeLost(node_client(1), 2, "silent"))
    play.tick(1)
    assert [node.alive for node in play.take(m.Picture)[-1].nodes] == [True, False]
    play.say(m.Join(0, 123, info(0), VERSIONS, was=2))
    play.tick(1)
    assert [node.number for node in play.take(m.Picture)[-1].nodes] == [1, 3]


def test_a_node_leaves_in_order() -> None:
    play = Play(nodes=2)
    play.say(m.Leave(node_client(2), "stopped"))
    assert "stopped" in play.take(m.NodeLost, node_client(1))[0].why


def test_screens_are_told_of_lost_nodes_but_not_of_those_that_were_asked_to_leave() -> None:
    play = Play(nodes=4)
    play.say(m.Watch(ANNA))
    play.say(m.Leave(node_client(2), "it failed"))
    play.say(m.Leave(node_client(3), "it was stopped", True))
    play.tick(1)
    shown = play.take(m.Picture, ANNA)[-1].nodes
    assert [(node.number, node.alive) for node in shown] == [(1, True), (2, False), (4, True)]
    assert not play.brain.membership.nodes[3].alive


def test_nothing_is_placed_on_a_node_that_leaves() -> None:
    play = Play(nodes=2)
    play.say(m.Load(node_client(1), {"CPU": 0}, Figures(), False))
    play.say(m.Load(node_client(2), CPU, Figures(), True))
    play.say(m.Watch(ANNA))
    assert play.take(m.Picture, ANNA)[-1].nodes[1].leaving
    play.say(m.CreateActor(ANNA, spec()))
    assert not play.take(m.StartActor, node_client(2))


def test_deaths_are_relayed_to_the_other_nodes() -> None:
    play = Play(nodes=3)
    play.say(m.Died(node_client(2), [m.Death(BEN, "crashed")]))
    assert {to for to, x in play.sent if isinstance(x, m.Died)} == {node_client(1), node_client(3)}


def test_pictures_come_at_most_four_times_a_second_and_on_change() -> None:
    play = Play(nodes=2)
    play.say(m.Watch(ANNA))
    (first,) = play.take(m.Picture, ANNA)
    assert [node.resources for node in first.nodes] == [{"CPU": 2.0}] * 2
    for free in range(10):
        play.load(2, {"CPU": free})
        play.tick(0.05)
    assert len(play.take(m.Picture)) in (2, 3)
    play.tick(5)
    play.take(m.Picture)
    play.tick(5)
    assert not play.take(m.Picture)
    play.say(m.Watch(ANNA, on=False))
    play.load(2, {"CPU": 77})
    play.tick(1)
    assert not play.take(m.Picture)


def test_no_picture_is_sent_to_the_dead() -> None:
    play = Play(nodes=2)
    for watcher in (ANNA, BEN):
        play.say(m.Watch(watcher))
    play.sent.clear()
    play.say(m.Died(node_client(1), [m.Death(ANNA, "crashed")]))
    play.tick(1)
    assert {to for to, x in play.sent if isinstance(x, m.Picture)} == {BEN}


# -- actors -----------------------------------------------------------------------------


def test_an_actor_lives_and_its_watchers_hear() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec()))
    assert play.take(m.ActorCreated, ANNA)[0].why == ""
    to, start = started(play)
    assert (to, start.incarnation) == (node_client(1), 0)
    play.say(m.WatchActor(BEN, ANNA, 5))
    assert play.take(m.ActorState, BEN)[0].state == m.PENDING
    play.say(m.ActorUp(1, ANNA, 5, 0, worker=42))
    for client in (ANNA, BEN):
        (state,) = play.take(m.ActorState, client)
        assert (state.state, state.worker) == (m.ALIVE, 42)
    play.say(m.EndActor(ANNA, ANNA, 5, True, "its last handle went"))
    (stop,) = play.take(m.StopActor, node_client(1))
    assert (stop.incarnation, stop.gently) == (0, False)
    assert play.take(m.ActorState, BEN)[0].cause == "its last handle went"
    play.sent.clear()
    play.say(m.ActorDown(node_client(1), ANNA, 5, 0, "late"))
    assert not play.take(m.ActorState)


def test_actors_spread_over_the_least_loaded() -> None:
    play = Play(nodes=2)
    play.load(1, {"CPU": UNIT})
    play.say(m.CreateActor(ANNA, spec()))
    assert started(play)[0] == node_client(2)


def test_actors_of_equal_nodes_alternate() -> None:
    play = Play(nodes=2)
    for number in range(4):
        play.say(m.CreateActor(ANNA, spec(number)))
    where = [to for to, x in play.sent if isinstance(x, m.StartActor)]
    assert sorted(where) == [node_client(1)] * 2 + [node_client(2)] * 2


def test_names_are_unique_and_free_again() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(5, name="x", namespace="n")))
    play.say(m.CreateActor(BEN, spec(7, owner=BEN, name="x", namespace="n")))
    assert "exists" in play.take(m.ActorCreated, BEN)[0].why
    again = spec(8, owner=BEN, name="x", namespace="n", get_if_exists=True)
    play.say(m.CreateActor(BEN, again))
    existing = play.take(m.ActorCreated, BEN)[0].existing
    assert (existing.owner, existing.actor) == (ANNA, 5)
    play.say(m.FindActor(BEN, 3, "x", "n"))
    found = play.take(m.ActorFound, BEN)[0]
    assert (found.owner, found.actor, found.info) == (ANNA, 5, b"i")
    play.say(m.ListActors(BEN, 4, "other", everywhere=True))
    assert play.take(m.ActorList, BEN)[0].names == [("n", "x")]
    play.say(m.ListActors(BEN, 4, "other", everywhere=False))
    assert play.take(m.ActorList, BEN)[0].names == []
    play.say(m.EndActor(ANNA, ANNA, 5, True, "killed"))
    play.say(m.FindActor(BEN, 3, "x", "n"))
    assert play.take(m.ActorFound, BEN)[0].info == b""
    play.say(m.CreateActor(BEN, spec(9, owner=BEN, name="x", namespace="n")))
    assert play.take(m.ActorCreated, BEN)[0].why == ""


def test_restarts_are_counted() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(max_restarts=1)))
    started(play)
    play.say(m.ActorUp(1, ANNA, 5, 0, worker=42))
    play.take(m.ActorState)
    play.say(m.ActorDown(node_client(1), ANNA, 5, 0, "crashed"))
    (state,) = play.take(m.ActorState, ANNA)
    assert (state.state, state.incarnation, state.cause) == (m.RESTARTING, 1, "crashed")
    assert started(play)[1].incarnation == 1
    play.say(m.ActorDown(node_client(1), ANNA, 5, 0, "of an older life"))
    assert not play.take(m.ActorState)
    play.say(m.ActorUp(1, ANNA, 5, 1, worker=43))
    play.say(m.ActorDown(node_client(1), ANNA, 5, 1, "again"))
    assert play.take(m.ActorState, ANNA)[-1].state == m.DEAD


def test_kill_without_no_restart_restarts() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(max_restarts=-1)))
    started(play)
    play.say(m.ActorUp(1, ANNA, 5, 0, worker=42))
    play.say(m.EndActor(ANNA, ANNA, 5, False, "ray.kill"))
    assert play.take(m.StopActor)[0].incarnation == 0
    assert started(play)[1].incarnation == 1


def test_an_init_that_raises_is_final() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(max_restarts=-1)))
    started(play)
    play.say(m.ActorUp(1, ANNA, 5, 0, worker=42, error=b"oops"))
    (state,) = play.take(m.ActorState, ANNA)
    assert (state.state, state.error) == (m.DEAD, b"oops")
    assert play.take(m.StopActor)


def test_impossible_actors_die_at_once() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(resources={"GPU": UNIT})))
    (state,) = play.take(m.ActorState, ANNA)
    assert state.state == m.DEAD
    assert state.kind == m.Why.UNSCHEDULABLE
    assert state.cause.startswith("needs 1 GPU")
    (record,) = play.brain.directory.records()
    assert record.cause == f"unschedulable: {state.cause}"  # for screens


def test_of_a_forgotten_actor_the_kind_of_cause_is_known() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(resources={"GPU": UNIT})))
    (first,) = play.take(m.ActorState, ANNA)
    for number in range(100, 100 + DEAD_KEPT):
        play.say(m.CreateActor(ANNA, spec(actor=number, resources={"GPU": UNIT})))
    play.say(m.WatchActor(BEN, first.owner, first.actor))
    (state,) = play.take(m.ActorState, BEN)
    assert (state.state, state.kind, state.cause) == (m.DEAD, first.kind, first.cause)


def test_an_actor_waits_for_the_first_node_to_introduce_itself() -> None:
    """A driver's first message may overtake its node's `Join`."""
    play = Play(nodes=0)
    play.brain = HeadBrain(77, VERSIONS)
    play.say(m.CreateActor(ANNA, spec(resources=CPU)))
    assert not [state for state in play.take(m.ActorState) if state.state == m.DEAD]
    play.say(m.Join(node_client(1), 0, info(1), VERSIONS))
    assert started(play)[0] == node_client(1)


def test_an_actor_waits_for_room_that_other_actors_hold() -> None:
    play = Play()
    need = {"CPU": 2 * UNIT}
    play.say(m.CreateActor(ANNA, spec(5, resources=need, placement=need)))
    started(play)
    play.load(1, {"CPU": 0})
    play.say(m.CreateActor(ANNA, spec(6, resources=need, placement=need)))
    assert not play.take(m.StartActor)
    play.say(m.EndActor(ANNA, ANNA, 5, True, "done"))
    play.load(1, {"CPU": 2 * UNIT})
    assert started(play)[1].spec.actor == 6


def test_an_actor_is_placed_although_leases_hold_the_cpus() -> None:
    play = Play()
    play.load(1, {"CPU": 0})
    play.say(m.CreateActor(ANNA, spec()))
    assert started(play)[0] == node_client(1)


@pytest.mark.parametrize("cpus", [1, 2, 8])
def test_a_default_actor_goes_where_cpus_are_though_they_are_busy(cpus: int) -> None:
    play = Play()
    play.say(m.Join(0, 2, info(0, cpus), VERSIONS))
    play.say(m.Join(0, 3, info(0, 0), VERSIONS))
    play.load(1, {"CPU": 0})
    play.load(2, {"CPU": 0})
    places = set()
    for actor in (5, 6):
        play.say(m.CreateActor(ANNA, spec(actor)))
        places.add(started(play)[0])
    assert places == {node_client(1), node_client(2)}


def test_a_default_actor_lives_on_a_node_without_cpus_if_there_is_no_other() -> None:
    play = Play()
    play.load(1, {"CPU": 0})
    play.say(m.Join(0, 2, info(0, 0), VERSIONS))
    play.say(m.CreateActor(ANNA, spec(5, node=2)))
    assert started(play)[0] == node_client(2)


@pytest.mark.parametrize("detached", [False, True])
def test_an_owners_death_ends_its_actors_unless_detached(detached: bool) -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(detached=detached, name="x")))
    started(play)
    play.say(m.ActorUp(1, ANNA, 5, 0, worker=42))
    play.say(m.Died(node_client(1), [m.Death(ANNA, "ended")]))
    assert bool(play.take(m.StopActor)) is not detached


def test_a_lost_node_restarts_its_actors_elsewhere() -> None:
    play = Play(nodes=2)
    play.say(m.CreateActor(ANNA, spec(max_restarts=1, node=0, resources=CPU)))
    where, _ = started(play)
    other = 2 if where == node_client(1) else 1
    if other == 1:  # lives on node 2
        play.say(m.NodeLost(node_client(1), 2, "silent"))
        assert started(play)[0] == node_client(1)
    else:
        play.say(m.CreateActor(ANNA, spec(6, max_restarts=1, node=2)))
        assert started(play)[0] == node_client(2)
        play.say(m.NodeLost(node_client(1), 2, "silent"))
        state = play.take(m.ActorState, ANNA)[-1]
        assert state.state == m.DEAD  # it was pinned there


def test_who_watches_an_actor_before_it_is_registered_hears_of_it_later() -> None:
    play = Play()
    play.say(m.WatchActor(BEN, ANNA, 9))
    assert not play.take(m.ActorState, BEN)  # its constructor's arguments may not be ready
    play.say(m.CreateActor(ANNA, spec(9)))
    play.say(m.ActorUp(node_client(1), ANNA, 9, 0, 77))
    assert play.take(m.ActorState, BEN)[-1].state == m.ALIVE


def test_unknown_actors_of_dead_owners_are_dead() -> None:
    play = Play()
    play.say(m.WatchActor(ANNA, BEN, 9))
    play.say(m.Died(node_client(1), [m.Death(BEN, "killed")]))
    assert play.take(m.ActorState, ANNA)[0].state == m.DEAD
    play.say(m.WatchActor(ANNA, BEN, 10))
    assert play.take(m.ActorState, ANNA)[-1].state == m.DEAD
    play.say(m.CreateActor(BEN, spec(10, owner=BEN)))  # it was on its way when its sender died
    assert play.brain.directory.living == 0


def test_an_actor_that_is_ended_before_it_is_registered_never_lives() -> None:
    play = Play()
    play.say(m.WatchActor(BEN, ANNA, 9))
    play.say(m.EndActor(ANNA, ANNA, 9, True, "it was killed"))
    assert play.take(m.ActorState, BEN)[0].cause == "it was killed"
    play.say(m.CreateActor(ANNA, spec(9)))
    assert play.take(m.ActorState, ANNA)[0].state == m.DEAD
    assert play.brain.directory.living == 0


@pytest.mark.parametrize(("cell", "counted"), [(OWN_CELL, 0), ("", 1), ("0123abcd", 1)])
@pytest.mark.parametrize("detached", [False, True])
def test_actors_that_nbray_makes_for_itself_are_not_counted(
    cell: str, counted: int, detached: bool
) -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(9, cell=cell, detached=detached)))
    play.say(m.ActorUp(node_client(1), ANNA, 9, 0, 77))
    assert play.brain.directory.living == counted
    play.say(m.Watch(BEN))
    assert play.take(m.Picture, BEN)[-1].actors == counted


def test_a_node_s_history_has_a_figure_a_second() -> None:
    play = Play()
    for percent, pause in ((10, 0.4), (20, 0.4), (30, 0.4), (40, 1.0)):
        play.say(m.Load(node_client(1), CPU, Figures(cpu_percent=percent)))
        play.tick(pause)
    (view,) = play.brain.membership.views()
    assert view.history == (10, 40)


@pytest.mark.parametrize("alive", [True, False])
def test_what_has_been_made_may_do_what_it_has_to_do_at_its_end(alive: bool) -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec()))
    if alive:
        play.say(m.ActorUp(1, ANNA, 5, 0, worker=42))
    play.say(m.EndActor(ANNA, ANNA, 5, True, "its last handle went", gently=True))
    (stop,) = play.take(m.StopActor, node_client(1))
    assert stop.gently is alive
    assert play.take(m.ActorState, ANNA)[-1].state == m.DEAD, "for callers it is dead at once"
