"""Processes that have had a GPU: what they took of it is free again, and a failure stays alone."""

from __future__ import annotations

from client_play import NODE, OTHER, WORKER, sent
from client_play import Play as Client
from node_play import ANNA
from node_play import Play as Node

from nbray.ids import DRIVER_FLAG, client_id
from nbray.options import UNIT
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.worker.brain import Done, WorkerBrain
from nbray.wire import messages as m

ME = client_id(1, 2)
CALLER = client_id(1, DRIVER_FLAG | 1)


def granted(gpu: int) -> tuple[Node, m.Granted]:
    play = Node(gpus=1, ready=1)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1, resources={"CPU": UNIT, **({"GPU": gpu} if gpu else {})})
    (grant,) = play.granted(ANNA)
    return play, grant


def test_a_worker_ends_when_it_gives_a_gpu_back() -> None:
    for gpu in (UNIT, UNIT // 2):
        play, grant = granted(gpu)
        play.give_back(ANNA, grant)
        (told,) = play.take(m.Exit, grant.worker)
        assert told.if_idle
        assert "GPU" in told.why


def test_nothing_else_is_given_to_it_meanwhile() -> None:
    play, grant = granted(UNIT)
    play.give_back(ANNA, grant)
    play.demand(ANNA, 1, shape=2)
    (other,) = play.granted(ANNA)
    assert other.worker != grant.worker


def test_one_that_owns_objects_may_stay_and_work() -> None:
    play, grant = granted(UNIT)
    play.give_back(ANNA, grant)
    play.say(m.Stays(grant.worker))
    play.demand(ANNA, 1, shape=2)
    (other,) = play.granted(ANNA)
    assert other.worker == grant.worker
    play.give_back(ANNA, other)
    play.demand(ANNA, 1, shape=3, resources={"CPU": UNIT, "GPU": UNIT})
    (third,) = play.granted(ANNA)
    assert third.worker != grant.worker  # a failure may have spoiled it for these


def test_a_worker_without_gpus_stays() -> None:
    play, grant = granted(0)
    play.give_back(ANNA, grant)
    assert not play.take(m.Exit)


def failed(seq: int, cancelled: bool = False) -> m.Results:
    outcome = m.Outcome(seq, [m.Value(b"error", failed=True)], True, False, cancelled)
    return m.Results(WORKER, [], [], [outcome])


def client(gpus: list[int], tasks: int) -> tuple[Client, list[int]]:
    play = Client()
    work = play.work()
    work.estimate = 1e-5  # seconds: several are sent at a time
    seqs = [play.task(work).seq for _ in range(tasks)]
    play.brain.pump(play.now)
    assert sent(play.say(m.Granted(NODE, 1, 7, WORKER, gpus)), m.Tasks, WORKER)
    return play, seqs


def test_who_has_failed_with_a_gpu_gets_no_further_task() -> None:
    play, (first, *rest) = client([0], 3)
    effects = play.say(failed(first))
    assert not sent(effects, m.Tasks, WORKER)
    effects = play.say(m.Bounced(WORKER, rest))
    assert [one.lease for one in sent(effects, m.Returned)] == [7]
    (tasks,) = sent(play.say(m.Granted(NODE, 1, 8, OTHER, [0])), m.Tasks, OTHER)
    assert list(tasks.seqs) == rest


def test_the_last_one_s_lease_goes_back_at_once() -> None:
    play, (only,) = client([0], 1)
    assert [one.lease for one in sent(play.say(failed(only)), m.Returned)] == [7]


def test_a_failure_without_gpus_and_a_cancelled_one_are_nothing_of_the_kind() -> None:
    play, (only,) = client([], 1)
    assert not sent(play.say(failed(only)), m.Returned)
    play, (only,) = client([0], 1)
    assert not sent(play.say(failed(only, cancelled=True)), m.Returned)


def tasks(lease: int, *seqs: int) -> m.Tasks:
    spec = m.Spec(1, b"code", "f", 1, b"", "", CALLER, 0, {"GPU": UNIT})
    return m.Tasks(
        CALLER, 1, lease, list(seqs), [b""] * len(seqs), specs=[spec], functions={b"code": b""},
        gpus=[0],
    )  # fmt: skip


def test_a_spoiled_worker_hands_back_what_is_and_comes_under_its_lease_and_no_other() -> None:
    brain = WorkerBrain(ClientBrain(ME, 1, lambda *_: b""))
    assert not brain.handle(tasks(7, 1, 2, 3), 1.0)
    brain.queue.popleft()
    outcome = m.Outcome(1, [m.Value(b"error", failed=True)], True)
    brain.done.append(Done(CALLER, 1, 1, b"", outcome, 10, (), ()))
    effects = brain.spoil()
    kinds = [type(effect.message) for effect in effects]
    assert kinds == [m.Results, m.Bounced]  # the caller knows first
    assert effects[1].message.seqs == [2, 3]
    (bounced,) = brain.handle(tasks(7, 4), 1.0)
    assert bounced.message.seqs == [4]
    assert not brain.handle(tasks(8, 5), 1.0)
    assert [item.seq for item in brain.queue] == [5]
