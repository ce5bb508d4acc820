"""The node's brain as playbooks: messages in, effects out."""

from __future__ import annotations

import random

import pytest

from nbray.events import Figures
from nbray.ids import DRIVER_FLAG, HEAD, client_id, node_client
from nbray.options import UNIT
from nbray.runtime.core import effects as fx
from nbray.runtime.core.node import NodeBrain, NodeConfig
from nbray.runtime.core.workers import WrongMove
from nbray.runtime.store.keeper import Keeper
from nbray.wire import messages as m

VERSIONS = m.Versions(1, "3.11.7", "0.1")
CPU = {"CPU": UNIT}
ANNA = client_id(1, DRIVER_FLAG | 1)
BEN = client_id(1, DRIVER_FLAG | 2)
FAR = client_id(2, DRIVER_FLAG | 1)


class Play:
    """A node on a stage: registers forked workers by itself, unless told not to."""

    def __init__(
        self, cpus: int = 2, number: int = 1, others: dict[int, int] | None = None, ready: int = 0,
        cap: int = 64, gpus: int = 0, auto: bool = True,
    ) -> None:
        total = {"CPU": cpus * UNIT, **({"GPU": gpus * UNIT} if gpus else {})}
        info = m.NodeInfo(number, f"m{number}", "10.0.0.1", 7000, total, total)
        settings = NodeConfig(number, 99, info, VERSIONS, "10.0.0.1:6379", cap, ready)
        self.brain = NodeBrain(settings, Keeper(1 << 30, number))
        self.now = 100.0
        self.auto = auto
        self.sent: list[tuple[int, object]] = []
        self.effects: list[fx.Effect] = []
        self.forked: list[int] = []
        self.do(self.brain.start(self.now))
        self.members = {number: info}
        for other, count in (others or {}).items():
            shape = {"CPU": count * UNIT}
            self.members[other] = m.NodeInfo(other, f"m{other}", "10.0.0.2", 7000, shape, shape)
        if others:
            self.say(m.Members(HEAD, list(self.members.values())))
        self.sent.clear()

    def do(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, fx.Send):
                self.sent.append((effect.to, effect.message))
            elif isinstance(effect, fx.Fork):
                self.forked.append(effect.worker)
        self.brain.check()
        while self.auto and self.forked:
            self.register(self.forked.pop(0))

    def say(self, message: object) -> None:
        self.do(self.brain.handle(message, self.now))  # type: ignore[arg-type]

    def register(self, client: int, driver: bool = False) -> None:
        self.say(m.Register(client, client & 0xFFFF, driver, VERSIONS))

    def tick(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.brain.next_deadline(self.now)) is not None and due <= end:
            self.now = max(self.now, due) + 1e-6
            self.do(self.brain.tick(self.now))
        self.now = max(self.now, end)

    def take(self, kind: type, to: int | None = None) -> list:  # type: ignore[type-arg]
        found = [x for x in self.sent if isinstance(x[1], kind) and to in (None, x[0])]
        self.sent = [x for x in self.sent if x not in found]
        return [message for _, message in found]

    def granted(self, to: int) -> list[m.Granted]:
        return self.take(m.Granted, to)

    def kills(self) -> list[int]:
        found = [e.worker for e in self.effects if isinstance(e, fx.Kill)]
        self.effects = [e for e in self.effects if not isinstance(e, fx.Kill)]
        return found

    def demand(self, client: int, count: int, shape: int = 1, resources=CPU, **more) -> None:  # type: ignore[no-untyped-def]
        self.say(m.Demand(client, shape, resources, count, **more))

    def give_back(self, client: int, grant: m.Granted) -> None:
        self.say(m.Returned(client, grant.lease, grant.worker))


@pytest.fixture
def play() -> Play:
    made = Play()
    made.register(ANNA, driver=True)
    made.register(BEN, driver=True)
    made.sent.clear()
    return made


def test_a_driver_is_welcomed_and_watched() -> None:
    play = Play()
    play.register(ANNA, driver=True)
    assert play.take(m.Registered, ANNA)[0].cluster == 99
    assert fx.WatchPid(ANNA, ANNA & 0xFFFF) in play.effects


def test_another_python_is_refused() -> None:
    play = Play()
    play.say(m.Register(ANNA, 1, True, m.Versions(1, "3.12.1", "0.1")))
    (refused,) = play.take(m.Refused, ANNA)
    assert "3.12.1 here" in refused.why
    assert not play.take(m.Registered)


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


def test_a_blocked_worker_lends_its_cpu(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.register(BEN, driver=True)
    play.say(m.Blocked(first.worker))
    play.demand(first.worker, 1, depth=1)
    (child,) = play.granted(first.worker)
    play.say(m.Unblocked(first.worker))
    assert play.brain.ledger.free == {"CPU": -UNIT}
    play.say(m.Returned(first.worker, child.lease, child.worker))
    assert play.brain.ledger.free == {"CPU": 0}


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
    assert "as many processes" in waiting.why


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
    play.do(play.brain.worker_gone(first.worker, "was killed by SIGSEGV", play.now, oom=True))
    death = m.Death(first.worker, "was killed by SIGSEGV", False, True)
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


def test_an_actor_without_cpus_waits_for_one_only_to_be_placed(play: Play) -> None:
    play.demand(ANNA, 2)
    first, _ = play.granted(ANNA)
    play.say(m.StartActor(HEAD, actor({}, CPU), 0))
    assert not play.take(m.BecomeActor)
    assert play.take(m.Reclaim, ANNA)
    play.give_back(ANNA, first)
    assert play.take(m.BecomeActor)
    assert len(play.granted(ANNA)) == 1  # the actor holds nothing: its CPU is Anna's again
    assert play.brain.ledger.free == {"CPU": 0}


def test_a_stopped_actor_is_killed_quietly(play: Play) -> None:
    play.say(m.StartActor(HEAD, actor(CPU, CPU), 0))
    ((worker, _),) = [(to, x) for to, x in play.sent if isinstance(x, m.BecomeActor)]
    play.say(m.StopActor(HEAD, ANNA, 5, 0, "killed"))
    assert play.kills() == [worker]
    play.do(play.brain.worker_gone(worker, "SIGKILL", play.now))
    assert not play.take(m.ActorDown)
    assert play.take(m.Died, BEN)[0].deaths[0].intended


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
    play.do(play.brain.segment_added(17, wish.size))
    assert play.take(m.Allocated, ANNA)[0].slot.segment == 17
    assert play.take(m.Allocated, BEN)[0].token == 4


def test_a_too_large_object_is_refused(play: Play) -> None:
    play.say(m.Allocate(ANNA, 3, 2 << 30, ANNA))
    (answer,) = play.take(m.Allocated, ANNA)
    assert answer.slot is None
    assert "never fit" in answer.why


def test_a_dead_owners_slots_are_asked_about(play: Play) -> None:
    play.say(m.Allocate(ANNA, 3, 1000, ANNA))
    play.do(play.brain.segment_added(17, 64 << 20))
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
    play.do(play.brain.segment_added(17, 64 << 20))
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
    play.do(play.brain.segment_added(17, 64 << 20))
    assert play.take(m.Pull, node_client(2))
    play.say(m.NodeLost(HEAD, 2, "gone"))
    (pull,) = play.take(m.Pull, node_client(3))
    play.say(m.Chunk(node_client(3), pull.token, 0, "the object has been freed there"))
    (answer,) = play.take(m.Fetched, ANNA)
    assert answer.slot is None
    assert play.brain.storage.books.used == 0


def test_a_chunk_that_does_not_come_is_asked_for_again() -> None:
    play = Play(others={2: 2})
    play.register(ANNA, driver=True)
    play.say(m.Fetch(ANNA, 1, FAR, 8, [m.Slot(2, 9, 0, 100, 1)]))
    play.do(play.brain.segment_added(17, 64 << 20))
    first = play.take(m.Pull)
    play.tick(3.5)
    assert play.take(m.Pull) == first


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
                kind = rng.choice([m.Blocked, m.Unblocked])
                play.say(kind(rng.choice(busy)))
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
