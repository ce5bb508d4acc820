"""The node's brain as playbooks: who is dead, who leaves, and what they leave behind."""

from __future__ import annotations

import msgspec
import pytest
from node_play import ANNA, BEN, CPU, FAR, Play

from nbray import details as d
from nbray.ids import HEAD, node_client
from nbray.runtime.core.effects import Stop
from nbray.runtime.core.node import deaths
from nbray.wire import messages as m


@pytest.fixture
def play() -> Play:
    made = Play(others={2: 2})
    made.register(ANNA, driver=True)
    made.sent.clear()
    return made


def actor() -> m.ActorSpec:
    return m.ActorSpec(
        ANNA, 5, "", "", "A", b"", b"", m.Value(), (ANNA, 6), [], {}, CPU, 0, 1, False, False,
        b"", "", ANNA,
    )  # fmt: skip


def test_an_actor_gets_a_process_that_owns_no_tasks_objects(play: Play) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.demand(ANNA, 0)
    play.give_back(ANNA, grant)
    play.say(m.StartActor(HEAD, actor(), 0))
    ((worker, _),) = [(to, x) for to, x in play.sent if isinstance(x, m.BecomeActor)]
    assert worker != grant.worker


def test_newcomers_hear_who_is_dead(play: Play) -> None:
    play.say(m.Died(HEAD, [m.Death(FAR, "killed")]))
    play.register(BEN, driver=True)
    assert [death.client for death in play.take(m.Died, BEN)[0].deaths] == [FAR]


def test_newcomers_hear_who_died_here(play: Play) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.do(play.brain.worker_gone(grant.worker, "killed", play.now))
    play.register(BEN, driver=True)
    (told,) = play.take(m.Died, BEN)
    assert [(death.client, death.cause) for death in told.deaths] == [(grant.worker, "killed")]


def test_only_so_many_of_the_dead_are_remembered(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "DEATHS_KEPT", 3)
    dead = [FAR + number for number in range(5)]
    for one in dead:
        play.say(m.Died(HEAD, [m.Death(one, "killed")]))
    play.register(BEN, driver=True)
    assert [death.client for death in play.take(m.Died, BEN)[0].deaths] == dead[2:]


def test_word_of_a_death_may_overtake_the_demand_of_the_dead(play: Play) -> None:
    play.say(m.Died(HEAD, [m.Death(FAR, "killed")]))
    play.say(m.Demand(node_client(2), 1, CPU, 1, origin=FAR))
    assert not play.brain.leases.wants
    assert not play.take(m.Granted)


def test_owners_hear_of_slots_that_a_dead_worker_took(play: Play) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    play.say(m.Allocate(grant.worker, 1, 1000, ANNA))
    play.do(play.brain.storage.segment_added(17, 64 << 20))
    (given,) = play.take(m.Allocated, grant.worker)
    play.do(play.brain.worker_gone(grant.worker, "killed", play.now))
    assert play.take(m.Unclaimed, ANNA)[0].slots == [given.slot]


def test_the_owner_hears_of_a_copy_from_the_node_itself(play: Play) -> None:
    source = m.Slot(2, 9, 0, 100, 1)
    play.say(m.Fetch(ANNA, 3, FAR, 8, [source]))
    play.do(play.brain.storage.segment_added(17, 64 << 20))
    (pull,) = play.take(m.Pull)
    play.say(m.Chunk(node_client(2), pull.token, 0))
    (moved,) = play.take(m.Moved, FAR)
    assert (moved.seq, moved.slot) == (8, play.take(m.Fetched, ANNA)[0].slot)


@pytest.mark.parametrize("rejoins", [False, True])
def test_a_node_that_lost_the_head_is_followed_by_another(play: Play, rejoins: bool) -> None:
    brain = play.brain
    brain.settings = msgspec.structs.replace(brain.settings, rejoins=rejoins)
    brain.number = 2  # not the head's
    effects = brain.node_lost(1, "it has counted this machine out", play.now)
    (stop,) = [effect for effect in effects if isinstance(effect, Stop)]
    assert stop.again is rejoins
    play.do(effects[:-1])
    (told,) = play.take(m.Exit, ANNA)
    assert ("joins it again" in told.why) is rejoins


def test_what_only_a_lost_node_could_do_is_infeasible(play: Play) -> None:
    play.say(m.Demand(ANNA, 1, CPU, 1, node=2))
    assert not play.take(m.Infeasible)
    play.say(m.NodeLost(HEAD, 2, "gone"))
    assert play.take(m.Infeasible, ANNA)


def test_what_only_a_node_that_leaves_could_do_is_infeasible(play: Play) -> None:
    play.say(m.Demand(ANNA, 1, CPU, 1, node=2))
    members = play.members
    play.say(m.Members(HEAD, list(members.values())))
    assert not play.take(m.Infeasible), "nothing has changed"
    leaves = msgspec.structs.replace(members[2], leaving=True)
    play.say(m.Members(HEAD, [members[1], leaves]))
    assert play.take(m.Infeasible, ANNA)


@pytest.mark.parametrize("gone", [False, True])
def test_a_node_tells_what_its_dead_workers_did(play: Play, gone: bool) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    did = d.TaskRecord(ANNA, 7, "f", "c", ANNA, d.DONE, grant.worker, 1.0, 2.0)
    play.say(m.Remember(grant.worker, [did]))
    if gone:
        play.do(play.brain.worker_gone(grant.worker, "killed", play.now))
    play.say(m.Describe(ANNA, d.TASKS, 100))
    assert play.take(m.Described, ANNA)[0].ended == [did] * gone


def test_nothing_is_kept_of_what_was_fetched_from_the_dead(play: Play) -> None:
    for owner, seq in ((FAR, ANNA), (BEN, FAR)):
        play.say(m.Fetch(ANNA, seq, owner, seq, [m.Slot(2, 9, 0, 100, seq)]))
        if seq == ANNA:
            play.do(play.brain.storage.segment_added(17, 64 << 20))
        play.say(m.Chunk(node_client(2), play.take(m.Pull)[0].token, 0))
    play.say(m.Died(HEAD, [m.Death(FAR, "killed")]))
    assert set(play.brain.transfers._copies) == {(BEN, FAR)}


def test_nothing_is_kept_of_a_copy_that_was_freed(play: Play) -> None:
    pull = fetching(play)
    play.say(m.Chunk(node_client(2), pull.token, 0))
    (fetched,) = play.take(m.Fetched, ANNA)
    assert play.brain.transfers._copies
    play.say(m.Free(FAR, [fetched.slot]))
    assert not play.brain.transfers._copies
    assert play.brain.storage.books.used == 0


def fetching(play: Play) -> m.Pull:
    """Anna's fetch of what Far owns has been begun."""
    play.say(m.Fetch(ANNA, 3, FAR, 8, [m.Slot(2, 9, 0, 100, 1)]))
    play.do(play.brain.storage.segment_added(17, 64 << 20))
    (pull,) = play.take(m.Pull)
    return pull


def test_what_comes_of_a_dead_owners_object_is_not_taken(play: Play) -> None:
    pull = fetching(play)
    play.say(m.Died(HEAD, [m.Death(FAR, "killed")]))
    assert "has ended" in play.take(m.Fetched, ANNA)[0].why
    play.say(m.Chunk(node_client(2), pull.token, 0))
    assert not play.take(m.Fetched)
    assert not play.take(m.Moved)
    assert play.brain.transfers.next_deadline() is None


def test_nothing_is_asked_for_again_once_all_has_come(play: Play) -> None:
    pull = fetching(play)
    assert play.brain.transfers.next_deadline() is not None
    play.say(m.Chunk(node_client(2), pull.token, 0))
    assert play.take(m.Fetched, ANNA)
    assert play.brain.transfers.next_deadline() is None


@pytest.mark.parametrize("changed", [False, True])
def test_workers_hear_who_is_there_and_drivers_what_is_free(play: Play, changed: bool) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    members = play.members
    play.say(m.Members(HEAD, list(members.values())))
    play.sent.clear()
    news = {"ip": "10.0.0.9"} if changed else {"available": {}}
    play.say(m.Members(HEAD, [members[1], msgspec.structs.replace(members[2], **news)]))
    heard = {to for to, message in play.sent if isinstance(message, m.Members)}
    assert heard == ({ANNA, grant.worker} if changed else {ANNA})


def test_what_a_dead_client_had_asked_for_is_fetched_for_the_others_alone(play: Play) -> None:
    play.register(BEN, driver=True)
    pull = fetching(play)
    play.say(m.Fetch(BEN, 4, FAR, 8, [m.Slot(2, 9, 0, 100, 1)]))
    play.do(play.brain.client_gone(BEN, "killed", play.now))
    play.say(m.Chunk(node_client(2), pull.token, 0))
    assert play.take(m.Fetched, ANNA)
    assert not play.take(m.Fetched, BEN)
