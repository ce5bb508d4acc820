"""The node's brain as playbooks: actors, the store, reports, and whatever chance brings."""

from __future__ import annotations

import random

import msgspec
import pytest
from node_play import ANNA, BEN, CPU, FAR, Play, with_two_drivers

from nbray.events import Figures
from nbray.ids import HEAD, OWN_NAMESPACE, node_client
from nbray.options import UNIT
from nbray.runtime.core import effects as fx
from nbray.runtime.core.effects import Kill
from nbray.runtime.core.node.scheduling.workers import PARTING_SECONDS, WrongMove
from nbray.wire import messages as m


@pytest.fixture
def play() -> Play:
    return with_two_drivers()


# -- actors -------------------------------------------------------------------------------


def actor(resources: dict[str, int], placement: dict[str, int], node: int = 0) -> m.ActorSpec:
    return m.ActorSpec(
        ANNA, 5, "", "", "A", b"", b"", m.Value(), (ANNA, 6), [], resources, placement, 0, 1,
        False, False, b"", "", ANNA, node,
    )  # fmt: skip


def test_an_actor_gets_a_worker_and_holds_its_resources(play: Play) -> None:
    play.say(m.StartActor(HEAD, actor(CPU, CPU), 0))
    ((worker, become),) = [(to, x) for to, x in play.sent if isinstance(x, m.BecomeActor)]
    assert become.incarnation == 0
    assert play.brain.ledger.free == {"CPU": UNIT}
    play.say(m.ActorUp(worker, ANNA, 5, 0, worker))
    assert play.take(m.ActorUp, HEAD)
    play.do(play.brain.worker_gone(worker, "crashed", play.now))
    assert play.take(m.ActorDown, HEAD)[0].cause == "crashed"
    assert play.brain.ledger.free == {"CPU": 2 * UNIT}


def test_actors_that_serve_nbray_itself_are_nothing_to_come_back_for(play: Play) -> None:
    own = msgspec.structs.replace(actor({}, CPU), namespace=OWN_NAMESPACE, detached=True)
    play.say(m.StartActor(HEAD, own, 0))
    assert play.take(m.BecomeActor)
    assert not play.brain.residents.kept()
    play.say(m.StartActor(HEAD, actor({}, CPU), 1))
    assert play.brain.residents.kept()


def test_an_actor_without_cpus_waits_for_none(play: Play) -> None:
    play.demand(ANNA, 2)
    assert len(play.granted(ANNA)) == 2
    play.say(m.StartActor(HEAD, actor({}, CPU), 0))
    assert play.take(m.BecomeActor)
    assert not play.take(m.Reclaim, ANNA)
    assert play.brain.ledger.free == {"CPU": 0}


def test_an_actor_without_cpus_does_not_wait_behind_one_that_needs_some(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.say(m.StartActor(HEAD, actor(CPU, CPU), 0))
    play.say(m.StartActor(HEAD, actor({}, CPU), 1))
    (become,) = play.take(m.BecomeActor)
    assert become.incarnation == 1
    play.give_back(ANNA, first)
    assert play.take(m.BecomeActor)


@pytest.mark.parametrize("fits", [2, 1])
def test_all_actors_start_that_there_is_room_for_and_the_others_wait(play: Play, fits: int) -> None:
    play.demand(ANNA, 1, resources={"CPU": 2 * UNIT})
    (grant,) = play.granted(ANNA)
    need = {"CPU": 2 * UNIT // fits}
    for incarnation in range(3):
        play.say(m.StartActor(HEAD, actor(need, need), incarnation))
    assert not play.take(m.BecomeActor)
    play.demand(ANNA, 0)
    started: list[list[int]] = []
    play.give_back(ANNA, grant)
    while became := [(to, x.incarnation) for to, x in play.sent if isinstance(x, m.BecomeActor)]:
        play.take(m.BecomeActor)
        started.append([incarnation for _, incarnation in became])
        for worker, _ in became:
            play.do(play.brain.worker_gone(worker, "crashed", play.now))
    assert started == ([[0, 1], [2]] if fits == 2 else [[0], [1], [2]])


def test_a_stopped_actor_is_killed_quietly(play: Play) -> None:
    play.say(m.StartActor(HEAD, actor(CPU, CPU), 0))
    ((worker, _),) = [(to, x) for to, x in play.sent if isinstance(x, m.BecomeActor)]
    play.say(m.StopActor(HEAD, ANNA, 5, 0, "killed"))
    assert play.kills() == [worker]
    assert not play.take(m.ActorDown)
    play.do(play.brain.worker_gone(worker, "SIGKILL", play.now))
    assert len(play.take(m.ActorDown)) == 1, "only now is nothing read any more"
    assert play.take(m.Died, BEN)[0].deaths[0].intended


def test_one_that_waits_for_room_is_gone_at_once(play: Play) -> None:
    for life in range(3):
        play.say(m.StartActor(HEAD, actor(CPU, CPU), life))
    assert [one.incarnation for one in play.brain.residents._queue] == [2]
    play.say(m.StopActor(HEAD, ANNA, 5, 2, "killed"))
    (down,) = play.take(m.ActorDown)
    assert (down.incarnation, down.restartable) == (2, False)


@pytest.mark.parametrize("how", ["ends", "hangs", "is killed after all"])
def test_an_actor_that_nobody_has_may_do_what_it_has_to_do(play: Play, how: str) -> None:
    play.say(m.StartActor(HEAD, actor(CPU, CPU), 0))
    ((worker, _),) = [(to, x) for to, x in play.sent if isinstance(x, m.BecomeActor)]
    play.say(m.StopActor(HEAD, ANNA, 5, 0, "nobody has it", gently=True))
    assert play.take(m.Exit, worker) == [
        m.Exit(node_client(1), "nobody has it", gently=True)
    ]
    play.tick(PARTING_SECONDS - 1)
    assert play.kills() == []
    if how == "hangs":
        play.tick(2)
        assert play.kills() == [worker]
    elif how == "is killed after all":
        known = play.brain.pool.get(worker)
        assert known is not None
        assert play.brain.pool.end(known, "its node leaves", play.now) == [Kill(worker)]
        assert play.brain.pool.end(known, "its node leaves", play.now) == []
    play.do(play.brain.worker_gone(worker, "exited with code 0", play.now))
    play.tick(2 * PARTING_SECONDS)
    assert play.kills() == []
    assert len(play.take(m.ActorDown)) == 1
    assert play.take(m.Died, BEN)[0].deaths[0].intended
    assert play.brain.ledger.free["CPU"] == 2 * UNIT


def test_an_actor_stopped_before_it_had_room_is_forgotten(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.say(m.StartActor(HEAD, actor(CPU, CPU), 0))
    play.say(m.StopActor(HEAD, ANNA, 5, 0, "killed"))
    play.give_back(ANNA, first)
    assert not play.take(m.BecomeActor)


# -- store and reports ---------------------------------------------------------------------


def test_allocation_waits_for_its_segment(play: Play) -> None:
    play.say(m.Allocate(ANNA, 3, 1000, ANNA))
    (wish,) = [e for e in play.effects if isinstance(e, fx.AddSegment)]
    play.say(m.Allocate(BEN, 4, 1000, BEN))
    play.do(play.brain.storage.segment_added(17, wish.size))
    assert play.take(m.Allocated, ANNA)[0].slot.segment == 17
    assert play.take(m.Allocated, BEN)[0].token == 4


def test_a_too_large_object_is_refused(play: Play) -> None:
    play.say(m.Allocate(ANNA, 3, 2 << 30, ANNA))
    (answer,) = play.take(m.Allocated, ANNA)
    assert answer.slot is None
    assert "never fit" in answer.why


def test_a_dead_owners_slots_are_asked_about(play: Play) -> None:
    play.say(m.Allocate(ANNA, 3, 1000, ANNA))
    play.do(play.brain.storage.segment_added(17, 64 << 20))
    slot = play.take(m.Allocated, ANNA)[0].slot
    play.do(play.brain.client_gone(ANNA, "ended", play.now))
    assert play.take(m.WhatHeld, BEN) == [m.WhatHeld(node_client(1), ANNA, [slot])]
    play.say(m.Held(BEN, ANNA, []))
    assert play.brain.storage.books.used == 0


def test_a_fetch_is_pulled_in_chunks_and_shared() -> None:
    play = Play(others={2: 2})
    play.register(ANNA, driver=True)
    play.register(BEN, driver=True)
    size = (3 << 20) + 5
    source = m.Slot(2, 9, 4096, size, 1)
    play.say(m.Fetch(ANNA, 1, FAR, 8, [source]))
    play.do(play.brain.storage.segment_added(17, 64 << 20))
    play.say(m.Fetch(BEN, 2, FAR, 8, [source]))
    pulls = play.take(m.Pull, node_client(2))
    assert [(p.start, p.size) for p in pulls] == [
        (0, 1 << 20), (1 << 20, 1 << 20), (2 << 20, 1 << 20), (3 << 20, 5)
    ]  # fmt: skip
    for pull in reversed(pulls):
        play.say(m.Chunk(node_client(2), pull.token, pull.start))
    written = [e for e in play.effects if isinstance(e, fx.WriteSlot)]
    assert len(written) == 4
    slot = play.take(m.Fetched, ANNA)[0].slot
    assert slot.node == 1
    assert play.take(m.Fetched, BEN)[0].slot == slot
    play.say(m.Fetch(BEN, 3, FAR, 8, [source]))
    assert play.take(m.Fetched, BEN)[0].slot == slot


def test_a_fetch_fails_over_to_another_copy_and_then_says_so() -> None:
    play = Play(others={2: 2, 3: 2})
    play.register(ANNA, driver=True)
    copies = [m.Slot(2, 9, 0, 100, 1), m.Slot(3, 9, 0, 100, 1)]
    play.say(m.Fetch(ANNA, 1, BEN, 8, copies))
    play.do(play.brain.storage.segment_added(17, 64 << 20))
    assert play.take(m.Pull, node_client(2))
    play.say(m.NodeLost(HEAD, 2, "gone"))
    (pull,) = play.take(m.Pull, node_client(3))
    play.say(m.Chunk(node_client(3), pull.token, 0, "the object has been freed there"))
    (answer,) = play.take(m.Fetched, ANNA)
    assert answer.slot is None
    assert play.brain.storage.books.used == 0


def test_every_fetch_from_a_lost_node_fails_over() -> None:
    play = Play(others={2: 2, 3: 2})
    play.register(ANNA, driver=True)
    for seq, nodes in ((1, (3, 2)), (2, (2, 3)), (3, (2, 3)), (4, (2, 3))):
        size = 100 << 20 if seq == 4 else 100  # for which there is no room yet
        copies = [m.Slot(node, 9, 4096 * seq, size, 1) for node in nodes]
        play.say(m.Fetch(ANNA, seq, BEN, seq, copies))
        if seq == 1:
            play.do(play.brain.storage.segment_added(17, 64 << 20))
    assert len(play.take(m.Pull)) == 3
    play.say(m.NodeLost(HEAD, 2, "gone"))
    assert [pull.slot.offset for pull in play.take(m.Pull, node_client(3))] == [8192, 12288]
    play.do(play.brain.storage.segment_added(18, 128 << 20))
    assert {pull.slot.offset for pull in play.take(m.Pull, node_client(3))} == {16384}


def test_a_fetch_into_a_full_store_says_that_it_is_full() -> None:
    play = Play(others={2: 2})
    play.register(ANNA, driver=True)
    play.say(m.Fetch(ANNA, 1, FAR, 8, [m.Slot(2, 9, 0, 2 << 30, 1)]))
    (answer,) = play.take(m.Fetched, ANNA)
    assert (answer.slot, answer.kind) == (None, m.Why.FULL)
    assert "can never fit" in answer.why


def test_a_chunk_that_does_not_come_is_asked_for_again() -> None:
    play = Play(others={2: 2})
    play.register(ANNA, driver=True)
    play.say(m.Fetch(ANNA, 1, FAR, 8, [m.Slot(2, 9, 0, 100, 1)]))
    play.do(play.brain.storage.segment_added(17, 64 << 20))
    (first,) = play.take(m.Pull)
    play.tick(3.5)
    (again,) = play.take(m.Pull)
    assert (again.token, again.slot, again.start) == (first.token, first.slot, first.start)
    assert again.insists


def test_a_stale_slot_is_not_served(play: Play) -> None:
    play.say(m.Pull(node_client(2), 5, m.Slot(1, 3, 0, 10, 1), 0, 10))
    assert play.take(m.Chunk, node_client(2))[0].why


def test_load_is_reported_at_a_bounded_rate(play: Play) -> None:
    for _ in range(20):
        play.demand(ANNA, 1)
        (grant,) = play.granted(ANNA)
        play.demand(ANNA, 0)
        play.give_back(ANNA, grant)
    assert len(play.take(m.Load, HEAD)) <= 1
    play.tick(0.05)
    assert play.take(m.Load, HEAD)[-1].available == {"CPU": 2 * UNIT}
    play.do(play.brain.figures(Figures(cpu_percent=5), play.now))
    assert play.take(m.Load, HEAD)[0].figures.workers == 1


def test_opening_the_port(play: Play) -> None:
    play.say(m.OpenPort(ANNA, 4, "10.0.0.1"))
    assert fx.Listen(4, ANNA, "10.0.0.1") in play.effects
    play.do(play.brain.listening(4, ANNA, "10.0.0.1:7000", ""))
    assert play.take(m.PortOpen, ANNA)[0].address == "10.0.0.1:7000"


def test_a_step_outside_the_table_tells_the_story(play: Play) -> None:
    play.demand(ANNA, 1)
    (grant,) = play.granted(ANNA)
    worker = play.brain.pool.get(grant.worker)
    assert worker is not None
    with pytest.raises(WrongMove, match="forked.*registered.*lease"):
        worker.move("become", play.now)


@pytest.mark.parametrize("seed", range(30))
def test_no_resource_is_lost_whatever_happens(seed: int) -> None:
    """Random demands, returns, blocks, deaths and time: `check` runs after every step."""
    rng = random.Random(seed)
    play = Play(cpus=rng.choice([1, 2, 4]), others={2: 2}, ready=rng.choice([0, 2]), auto=False)
    drivers = [ANNA, BEN]
    for driver in drivers:
        play.register(driver, driver=True)
    leases: list[tuple[int, m.Granted]] = []
    shapes = [CPU, {}, {"CPU": UNIT // 2}, {"CPU": 2 * UNIT}]
    for _ in range(300):
        leases += [(to, x) for to, x in play.sent if isinstance(x, m.Granted)]
        actors = [to for to, x in play.sent if isinstance(x, m.BecomeActor)]
        play.sent.clear()
        busy = [grant.worker for _, grant in leases]
        live = [w.client for w in play.brain.pool]
        match rng.randrange(10):
            case 0 | 1:
                number = rng.randrange(4)
                client = rng.choice(drivers + busy)
                play.demand(client, rng.choice([0, 1, 3, 50]), number, shapes[number])
            case 2:
                play.say(m.Demand(node_client(2), 1, CPU, rng.randrange(4), 0, 0, FAR))
            case 3 | 4 if leases:
                client, grant = leases.pop(rng.randrange(len(leases)))
                play.give_back(client, grant)
            case 5 if play.forked:
                play.register(play.forked.pop(0))
            case 6 if busy:
                kind = rng.choice([m.Blocked, m.Unblocked, m.Lent])
                play.say(kind(rng.choice(busy)))
                if rng.random() < 0.2:
                    play.say(m.Unblocked(rng.choice(busy), waits=True))
            case 7 if live and rng.random() < 0.5:
                gone = rng.choice(live)
                play.forked = [w for w in play.forked if w != gone]
                leases = [x for x in leases if gone not in (x[0], x[1].worker)]
                play.do(play.brain.worker_gone(gone, "crashed", play.now))
            case 8 if rng.random() < 0.3:
                spec = actor(rng.choice(shapes[:2]), CPU)
                play.say(m.StartActor(HEAD, spec, rng.randrange(9)))
            case _:
                play.tick(rng.choice([0.001, 0.03, 1]))
        for worker in actors:
            play.say(m.Blocked(worker))
        for worker in play.kills():
            play.forked = [w for w in play.forked if w != worker]
            leases = [x for x in leases if worker not in (x[0], x[1].worker)]
            play.do(play.brain.worker_gone(worker, "killed", play.now))
    for driver in drivers:
        play.do(play.brain.client_gone(driver, "ended", play.now))
    play.say(m.NodeLost(HEAD, 2, "gone"))
    for incarnation in range(9):
        play.say(m.StopActor(HEAD, ANNA, 5, incarnation, "the end"))
    for _ in range(5):  # a worker's own demands were served as others died
        for worker in [w.client for w in play.brain.pool]:
            play.do(play.brain.worker_gone(worker, "killed", play.now))
    assert play.brain.ledger.free == play.brain.ledger.total
    assert not play.brain.leases.wants


def test_an_actor_that_can_never_run_here_may_run_elsewhere(play: Play) -> None:
    play.say(m.StartActor(HEAD, actor({"CPU": 9 * UNIT}, CPU), 0))
    (down,) = play.take(m.ActorDown, HEAD)
    assert (down.cause, down.restartable) == ("the node has no 9 CPUs", True)
