"""The client and worker brains: what the simulation found, each as a short play."""

from __future__ import annotations

from collections import deque

import pytest
from client_play import CPU, ME, NODE, OTHER, OWNER, WORKER, Play, make_error, sent

from nbray.config import DEAD_GRACE, LEASE_LINGER
from nbray.ids import HEAD, client_id, node_client
from nbray.runtime.core.client.brain import UNCLAIMED_SECONDS, ClientBrain
from nbray.runtime.core.client.objects.objects import FAILED, LIFE, READY, STORED, Entry
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.client.waiters import Gathering, Group
from nbray.runtime.core.worker.brain import Done, WorkerBrain
from nbray.wire import messages as m


def test_a_dropped_argument_lives_until_its_submission_has_been_taken() -> None:
    play = Play()
    first = play.task(play.work())
    play.brain.pump(play.now)
    play.grant()
    play.task(play.work(spec=2), deps=((ME, first.seq),))
    play.brain.objects.drop([(ME, first.seq)])  # `g.remote(ref); del ref`, not pumped yet
    play.brain.handle(m.Results(WORKER, [first.seq], [b"1"]), play.now)
    assert first.seq in play.brain.objects.owned
    effects = play.brain.pump(play.now)
    (tasks,) = sent(effects, m.Tasks)
    assert tasks.extras[0].deps[0][1].data == b"1"


def test_a_reference_of_a_dead_owner_is_lost_at_once() -> None:
    play = Play()
    play.say(m.Died(NODE, [m.Death(OWNER, "killed")]))
    play.brain.objects.hold([(OWNER, 5)])
    effects = play.brain.pump(play.now)
    assert not sent(effects, m.Borrow)
    assert play.brain.objects.foreign[OWNER, 5].state == FAILED
    play.brain.objects.drop([(OWNER, 5)])
    assert not sent(play.brain.pump(play.now), m.Release)
    assert not play.brain.objects.foreign


def test_a_lost_node_takes_even_clients_that_nobody_knew() -> None:
    play = Play()
    play.say(m.NodeLost(HEAD, 9, "gone"))
    play.brain.objects.hold([(client_id(9, 77), 1)])
    play.brain.pump(play.now)
    assert play.brain.objects.foreign[client_id(9, 77), 1].state == FAILED


def test_a_task_that_is_cancelled_in_a_workers_queue_says_so() -> None:
    play = Play()
    task = play.task(play.work())
    play.brain.pump(play.now)
    play.grant()
    play.brain.cancel([task], force=False)
    outcome = m.Outcome(task.seq, [m.Value(failed=True)], True, False, True)
    play.say(m.Results(WORKER, [], [], [outcome]))
    entry = play.brain.objects.owned[task.seq]
    assert entry.value.data.startswith(b"TaskCancelledError")


@pytest.mark.parametrize("others", [1, 3])
@pytest.mark.parametrize(("data", "stays"), [(b"", False), (b"started, then cancelled", True)])
def test_who_has_not_started_a_task_keeps_nothing_of_its_arguments(
    data: bytes, stays: bool, others: int
) -> None:
    play = Play()
    task = play.task(play.work())
    task.pins = tuple((OWNER, seq) for seq in range(others))
    play.brain.pump(play.now)
    play.grant()
    play.brain.cancel([task], force=False)
    outcome = m.Outcome(task.seq, [m.Value(data, failed=True)], True, False, True)
    play.say(m.Results(WORKER, [], [], [outcome]))
    assert bool(play.brain.objects.foreign) == stays
    play.say(m.Unpinned(WORKER, [task.seq]))
    assert not play.brain.objects.foreign


def test_an_infeasible_demand_is_taken_back() -> None:
    play = Play()
    play.task(play.work())
    play.brain.pump(play.now)
    effects = play.say(m.Infeasible(NODE, 1, "too large"))
    assert [demand.count for demand in sent(effects, m.Demand, NODE)] == [0]
    play.task(play.work())
    assert [d.count for d in sent(play.brain.pump(play.now), m.Demand, NODE)] == [1]


def test_after_a_death_the_node_is_told_what_is_wanted() -> None:
    play = Play()
    play.task(play.work(retries=0))
    play.brain.pump(play.now)
    play.grant()
    play.say(m.Died(NODE, [m.Death(WORKER, "killed")]))
    play.now += 1
    effects = [*play.brain.tick(play.now), *play.brain.pump(play.now)]
    assert [demand.count for demand in sent(effects, m.Demand, NODE)] == [0]


def test_what_must_not_run_twice_shares_a_worker_with_nothing() -> None:
    play = Play()
    once, often = play.work(retries=0), play.work(retries=3, spec=2)
    for work in (once, often):
        work.estimate = 1e-5
    play.task(once)
    for _ in range(5):
        play.task(often)
    play.brain.pump(play.now)
    assert [tasks.seqs for tasks in sent(play.grant(), m.Tasks)] == [[1]]
    effects = play.say(m.Results(WORKER, [1], [b"1"]))
    play.task(once)
    effects += play.brain.pump(play.now)
    assert all(tasks.spec == 2 for tasks in sent(effects, m.Tasks))


def test_cancelled_tasks_take_no_room_in_a_pipeline() -> None:
    play = Play()
    tasks = [play.task(play.work()) for _ in range(5)]
    play.brain.pump(play.now)
    play.brain.cancel(tasks[:4], force=False)
    assert [message.seqs for message in sent(play.grant(), m.Tasks)] == [[5]]


def test_the_last_words_of_a_buried_worker_change_nothing() -> None:
    play = Play()
    task = play.task(play.work())
    play.brain.pump(play.now)
    play.grant()
    play.say(m.Died(NODE, [m.Death(WORKER, "killed")]))
    play.now += 1
    play.brain.tick(play.now)
    play.grant(OTHER, 8)
    slot = m.Slot(1, 1, 0, 100, 5)
    late = m.Outcome(task.seq, [m.Value(b"", [slot])])
    assert sent(play.say(m.Results(WORKER, [], [], [late])), m.Free)[0].slots == [slot]
    assert task.lease is not None


def test_unclaimed_slots_are_freed_unless_an_object_lies_in_them() -> None:
    play = Play()
    mine, stray = m.Slot(1, 1, 0, 100, 5), m.Slot(1, 1, 4096, 100, 6)
    play.brain.objects.owned[3] = Entry((ME, 3), 1, STORED, m.Value(b"", [mine]))
    play.say(m.Unclaimed(NODE, [mine, stray]))
    assert play.brain.next_deadline() == play.now + UNCLAIMED_SECONDS
    play.now += UNCLAIMED_SECONDS
    assert [free.slots for free in sent(play.brain.tick(play.now), m.Free)] == [[stray]]


def test_an_allocation_that_nobody_waits_for_is_freed() -> None:
    play = Play()
    slot = m.Slot(1, 1, 0, 100, 5)
    assert sent(play.say(m.Allocated(NODE, 4, slot)), m.Free)[0].slots == [slot]


def test_an_actor_whose_handle_went_before_its_arguments_came_is_never_made() -> None:
    play = Play()
    dep = play.task(play.work())
    play.brain.pump(play.now)
    play.grant()
    task = Task(9, play.work("__init__"), b"", 1)
    task.deps, task.pins = [(0, (ME, dep.seq))], ((ME, dep.seq),)
    play.brain.objects.owned[9] = Entry((ME, 9), 1, LIFE)
    spec = m.ActorSpec(
        ME, 9, "", "", "A", b"", b"", m.Value(), (0, 0), [], {}, CPU, 0, 1, False, False, b"",
        "", ME,
    )  # fmt: skip
    play.brain.actors.create(task, spec)
    play.brain.objects.drop([(ME, 9)])
    assert sent(play.brain.pump(play.now), m.EndActor, HEAD)
    effects = play.say(m.Results(WORKER, [dep.seq], [b"1"]))
    assert not sent(effects, m.CreateActor)


def test_references_in_a_result_are_held_until_the_caller_has_them() -> None:
    brain = ClientBrain(WORKER, 1, make_error)
    worker = WorkerBrain(brain)
    brain.objects.owned[4] = Entry((WORKER, 4), 1, STORED, m.Value(b"x"))
    brain.objects.owned[4].state = 1
    refs = ((WORKER, 4),)
    brain.objects.hold(refs)  # as the executor does while it has the result
    outcome = m.Outcome(1, [m.Value(b"list", [], list(refs))])
    worker.done = deque([Done(ME, 1, 1, b"", outcome, 0, (), refs)])
    brain.objects.drop(refs)  # the result is gone, the answer not yet sent
    brain.pump(1.0)
    worker.flush()
    assert 4 in brain.objects.owned
    brain.handle(m.Borrow(ME, [4], 1), 1.0)
    brain.handle(m.Unpinned(ME, [-1]), 1.0)
    brain.pump(1.0)
    assert 4 in brain.objects.owned
    brain.handle(m.Release(ME, [4]), 1.0)
    assert 4 not in brain.objects.owned


def test_a_worker_that_owns_objects_stays_when_asked_to_leave() -> None:
    brain = ClientBrain(WORKER, 1, make_error)
    worker = WorkerBrain(brain)
    brain.objects.owned[4] = Entry((WORKER, 4), 1, STORED, m.Value(b"x"))
    effects = worker.handle(m.Exit(NODE, "idle", if_idle=True), 1.0)
    assert sent(effects, m.Stays, NODE)
    assert not brain.ended
    del brain.objects.owned[4]
    worker.handle(m.Exit(NODE, "idle", if_idle=True), 1.0)
    assert brain.ended


def two_returns(play: Play) -> Task:
    task = play.task(play.work())
    task.returns = 2
    play.brain.objects.promise(task, task.seq + 1, 1)
    play.brain.pump(play.now)
    play.grant()
    return task


def test_a_return_may_come_before_its_task_ends() -> None:
    play = Play()
    task = two_returns(play)
    owned = play.brain.objects.owned
    play.say(m.Early(WORKER, task.seq + 1, m.Value(b"early")))
    assert owned[task.seq + 1].value == b"early"
    assert not owned[task.seq].state
    outcome = m.Outcome(task.seq, [m.Value(b"last"), m.Value(b"too late")])
    play.say(m.Results(WORKER, [], [], [outcome]))
    assert [owned[task.seq + i].value for i in (0, 1)] == [b"last", b"early"]
    assert play.brain.tasks.unfinished == 0


def test_an_early_return_that_nobody_waits_for_is_freed() -> None:
    play = Play()
    task = two_returns(play)
    slot = m.Slot(1, 0, 0, 100_000, 5)
    early = m.Early(OTHER, task.seq + 1, m.Value(b"", [slot]))
    assert sent(play.say(early), m.Free)[0].slots == [slot]
    assert not play.brain.objects.owned[task.seq + 1].state


def test_a_cell_counts_the_calls_that_run_and_for_how_long_its_tasks_have() -> None:
    play = Play()
    work = play.work()
    work.tally = play.brain.tally("", play.now)
    play.brain.tally("over", play.now)
    play.task(work)
    play.brain.pump(play.now)
    play.grant()
    call = Task(50, Work(work.spec, 0, None, work.tally, b""), b"", 1)
    play.brain.submitted.append((play.brain.actors.call, (OWNER, 6), "A", call))
    play.brain.pump(play.now)
    play.say(m.ActorState(HEAD, OWNER, 6, m.ALIVE, 0, client_id(2, 3)))
    cells = play.brain.cells(play.now + 2.0)
    assert [(node.number, node.running) for node in cells[""].nodes] == [(1, 1), (2, 1)]
    assert [cells[cell].oldest for cell in ("", "over")] == [2.0, 0.0]


def test_a_task_that_is_to_be_tried_again_is_at_no_worker() -> None:
    play = Play()
    task = play.task(play.work())
    play.brain.pump(play.now)
    play.grant()
    again = m.Outcome(task.seq, [m.Value(b"", failed=True)], True, True)
    play.brain.handle(m.Results(WORKER, [], [], [again]), play.now)
    assert not sent(play.brain.cancel([task], force=False), m.Cancel)
    assert play.brain.objects.owned[task.seq].value.data.startswith(b"TaskCancelledError")


def test_a_newcomer_knows_that_what_lived_on_a_lost_node_is_lost() -> None:
    play = Play()
    gone, there = (
        m.NodeInfo(number, f"m{number}", "10.0.0.1", 1, CPU, CPU, alive=number == 3)
        for number in (2, 3)
    )
    play.say(m.Registered(NODE, 1, "10.0.0.1", 1, "", [gone, there]))
    play.brain.objects.hold([(client_id(2, 5), 1), (client_id(3, 5), 1)])
    assert [borrow.seqs for borrow in sent(play.brain.pump(play.now), m.Borrow)] == [[1]]
    foreign = play.brain.objects.foreign
    assert foreign[client_id(2, 5), 1].state == FAILED
    assert not foreign[client_id(3, 5), 1].state


def test_a_small_result_lets_go_of_what_the_task_was_given() -> None:
    play = Play()
    owned = play.brain.objects.owned
    given = owned[90] = Entry((ME, 90), 0, READY, b"given")
    task = Task(91, play.work(), b"", 1)
    task.pins = (given.key,)
    play.brain.objects.promise(task, 91, 1)
    play.brain.submitted.append(task)
    play.brain.pump(play.now)
    play.grant()
    assert 90 in owned
    play.say(m.Results(WORKER, [91], [b"1"]))
    assert 90 not in owned


def test_the_answer_to_a_call_lets_go_of_its_actor() -> None:
    play = Play()
    owned = play.brain.objects.owned
    owned[90] = Entry((ME, 90), 0, LIFE)
    call = Task(91, Work(play.work().spec, 0, None, Tally("", play.now), b""), b"", 1)
    play.brain.objects.promise(call, 91, 1)
    play.brain.submitted.append((play.brain.actors.call, (ME, 90), "A", call))
    play.brain.pump(play.now)
    play.say(m.ActorState(HEAD, ME, 90, m.ALIVE, 0, WORKER))
    assert sent(play.say(m.Results(WORKER, [91], [b"1"])), m.EndActor, HEAD)


@pytest.mark.parametrize(
    ("kind", "states", "woken"),
    [
        (Group, [READY, FAILED, READY], [0, 0, 1]),
        (Gathering, [READY, READY, READY], [0, 0, 1]),
        (Gathering, [READY, FAILED, READY], [0, 1, 2]),
    ],
)
def test_a_wait_ends_with_the_last_and_a_get_with_the_first_that_failed(
    kind: type[Group], states: list[int], woken: list[int]
) -> None:
    calls: list[bool] = []
    group = kind(3, lambda: calls.append(group.done))
    counts = []
    for number, state in enumerate(states):
        assert group.done is bool(calls)
        group.settle(Entry((ME, number), 1, state))
        counts.append(len(calls))
    assert counts == woken
    assert all(calls)


def test_what_runs_is_still_among_what_is_wanted() -> None:
    play = Play()
    for _ in range(5):
        play.task(play.work())
    assert [demand.count for demand in sent(play.brain.pump(play.now), m.Demand)] == [8]
    assert not sent([*play.grant(), *play.grant(OTHER, 8)], m.Demand)


def test_the_last_words_of_the_dead_hide_nothing_that_others_say() -> None:
    play = Play()
    task = play.task(play.work())
    play.brain.pump(play.now)
    play.grant()
    outcomes = [m.Outcome(seq, [m.Value(b"1")]) for seq in (task.seq + 7, task.seq)]
    play.say(m.Results(WORKER, [], [], outcomes))
    assert play.brain.objects.owned[task.seq].value == b"1"


@pytest.mark.parametrize("spec", [1, 2])
def test_a_worker_has_patience_for_what_has_been_measured(spec: int) -> None:
    play = Play()
    work = play.work()
    play.task(work)
    play.task(work)
    play.brain.pump(play.now)
    (first,) = sent(play.grant(), m.Tasks)
    measured = m.Results(WORKER, first.seqs, [b"1"], [], spec, 1, 200_000, 200_000, 0)
    (second,) = sent(play.say(measured), m.Tasks)
    assert first.patience == 10_000
    assert second.patience == (400_000 if spec == 1 else 10_000)


def test_a_worker_counts_once_however_much_it_has_queued() -> None:
    play = Play()
    work = play.work()
    work.tally, work.estimate = play.brain.tally("", play.now), 1e-5
    for _ in range(5):
        play.task(work)
    play.brain.pump(play.now)
    assert len(sent(play.grant(), m.Tasks)[0].seqs) == 5
    assert play.brain.cells(play.now)[""].nodes[0].running == 1


@pytest.mark.parametrize("small", [True, False])
def test_a_worker_that_has_answered_goes_back_after_a_moment(small: bool) -> None:
    play = Play()
    work = play.work()
    task = play.task(work)
    play.brain.pump(play.now)
    play.grant()
    outcome = m.Outcome(task.seq, [m.Value(b"1")])
    play.say(m.Results(WORKER, [task.seq] * small, [b"1"] * small, [outcome] * (not small)))
    assert (work.tally.submitted, work.tally.done) == (1, {1: 1})
    assert play.brain.next_deadline() == play.now + LEASE_LINGER
    assert not sent(play.brain.tick(play.now), m.Returned)
    play.now += LEASE_LINGER
    assert [one.lease for one in sent(play.brain.tick(play.now), m.Returned, NODE)] == [7]


@pytest.mark.parametrize(
    ("out_of_memory", "kind"), [(False, "WorkerCrashedError"), (True, "OutOfMemoryError")]
)
def test_what_dies_with_its_worker_and_may_not_run_again_says_so(
    out_of_memory: bool, kind: str
) -> None:
    play = Play()
    task = play.task(play.work(retries=0))
    play.brain.pump(play.now)
    play.grant()
    play.say(m.Died(NODE, [m.Death(WORKER, "it was killed", False, out_of_memory)]))
    play.now += 1
    play.brain.tick(play.now)
    value = play.brain.objects.owned[task.seq].value
    assert value.failed
    assert value.data.startswith(f"{kind}: f: it was killed".encode())
    assert (b"`memory=`" in value.data) is out_of_memory


def test_a_task_that_is_tried_again_takes_its_arguments_where_they_lie_now() -> None:
    play = Play()
    first, second = m.Slot(2, 1, 0, 100, 5), m.Slot(3, 1, 0, 100, 6)
    dep = play.brain.objects.store(m.Value(b"", [first]))
    task = play.task(play.work(), deps=((ME, dep),))
    play.brain.pump(play.now)
    (tasks,) = sent(play.grant(), m.Tasks, WORKER)
    assert tasks.extras[0].deps == [(0, m.Value(b"", [first]), (ME, dep))]
    play.say(m.Moved(node_client(3), dep, second))
    play.say(m.Died(NODE, [m.Death(WORKER, "its node is gone", False)]))
    play.now += DEAD_GRACE
    play.brain.tick(play.now)
    play.brain.pump(play.now)
    (tasks,) = sent(play.grant(OTHER, 8), m.Tasks, OTHER)
    assert tasks.extras[0].deps == [(0, m.Value(b"", [first, second]), (ME, dep))]
    assert tasks.extras[0].attempt == task.attempt == 1


def test_what_lies_in_the_store_keeps_how_it_was_made() -> None:
    """The task of a stored return holds nothing any more, and still has all that it takes."""
    play = Play()
    slot = m.Slot(1, 1, 0, 100, 5)
    dep = play.brain.objects.keep(b"argument", ())
    play.brain.pump(play.now)
    task = play.task(play.work(), deps=((ME, dep),))
    play.brain.pump(play.now)
    play.grant()
    assert play.brain.objects.owned[dep].count == 2
    play.say(m.Results(WORKER, [], [], [m.Outcome(task.seq, [m.Value(b"", [slot])])]))
    assert play.brain.objects.owned[dep].count == 1
    made_by = play.brain.objects.owned[task.seq].maker
    assert made_by is task
    assert (made_by.deps, made_by.pins, made_by.held) == ([(0, (ME, dep))], ((ME, dep),), False)


def test_what_a_dead_worker_had_launched_for_a_cell_has_failed() -> None:
    play = Play()
    tally = play.brain.tally("c", play.now)
    tally.nested[WORKER] = m.Counted(WORKER, "c", 3, {1: 1}, {}, {}, {1: 2}, 0)
    play.say(m.Died(NODE, [m.Death(OTHER, "it was killed", False)]))
    assert play.brain.cells(play.now)["c"].failed == 0
    play.say(m.Died(NODE, [m.Death(WORKER, "it was killed", False)]))
    assert play.brain.cells(play.now)["c"].failed == 2


def test_what_workers_of_a_lost_node_had_launched_for_a_cell_has_failed() -> None:
    play = Play()
    tally = play.brain.tally("c", play.now)
    for number, worker in ((1, client_id(2, 5)), (2, client_id(2, 6)), (4, client_id(3, 5))):
        tally.nested[worker] = m.Counted(worker, "c", number, {}, {}, {}, {}, 0)
    play.say(m.NodeLost(HEAD, 9, "gone"))
    assert play.brain.cells(play.now)["c"].failed == 0
    play.say(m.NodeLost(HEAD, 2, "gone"))
    assert play.brain.cells(play.now)["c"].failed == 3
