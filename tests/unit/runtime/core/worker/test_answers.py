"""What a worker says when tasks have ended: counts, times, answers, and in which order."""

from __future__ import annotations

import pytest

from nbray.ids import DRIVER_FLAG, client_id
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import Effect, Send
from nbray.runtime.core.worker import brain as answering
from nbray.runtime.core.worker.brain import REPORT_SECONDS, Done, Item, WorkerBrain
from nbray.wire import messages as m

ME = client_id(1, 2)
ANNA, BEN = client_id(1, DRIVER_FLAG | 1), client_id(1, DRIVER_FLAG | 2)


def said(effects: list[Effect], *kinds: type) -> list[m.Message]:
    sends = [effect.message for effect in effects if isinstance(effect, Send)]
    return [message for message in sends if isinstance(message, kinds)]


@pytest.fixture
def brain() -> WorkerBrain:
    return WorkerBrain(ClientBrain(ME, 1, lambda *_: b""))


def ends(brain: WorkerBrain, *callers: int) -> list[Effect]:
    """A small task of each of the *callers* has ended, in this order."""
    for seq, caller in enumerate(callers, 1):
        brain.done.append(Done(caller, seq, 1, b"1", None, 10, (), ()))
    return brain.flush()


@pytest.mark.parametrize("callers", [(ANNA, BEN), (ANNA, BEN, ANNA), (ANNA, ANNA, BEN)])
def test_every_caller_is_answered(brain: WorkerBrain, callers: tuple[int, ...]) -> None:
    sends = [effect for effect in ends(brain, *callers) if isinstance(effect, Send)]
    told = [(one.to, one.message.seqs) for one in sends if isinstance(one.message, m.Results)]
    assert sorted((to, seq) for to, seqs in told for seq in seqs) == sorted(
        zip(callers, (1, 2, 3), strict=False)
    )
    assert len(told) == 2


def test_what_a_task_has_launched_is_counted_before_its_answer(brain: WorkerBrain) -> None:
    """When it has ended, its cell is not taken for finished."""
    tally = brain.client.tally("cell", 1.0)
    tally.job, tally.submitted = ANNA, 1
    assert said(brain.report(1.0), m.Counted)
    tally.submitted = 2  # soon after: a report would wait
    counted, answer = said(ends(brain, ANNA), m.Counted, m.Results)
    assert isinstance(counted, m.Counted)
    assert counted.submitted == 2
    assert isinstance(answer, m.Results)
    assert said(ends(brain, ANNA), m.Counted) == []  # nothing is new


@pytest.mark.parametrize("cell", [True, False])
def test_what_ends_elsewhere_is_counted_too(brain: WorkerBrain, cell: bool) -> None:
    if cell:
        tally = brain.client.tally("cell", 1.0)
        tally.job, tally.submitted = ANNA, 1
    told = brain.handle(m.Results(client_id(1, 3), [], []), 1.0)
    assert len(said(told, m.Counted)) == cell


@pytest.mark.parametrize("job", [0, ME])
def test_counts_of_its_own_work_are_told_to_nobody(brain: WorkerBrain, job: int) -> None:
    tally = brain.client.tally("cell", 1.0)
    tally.job, tally.submitted = job, 1
    assert said(brain.report(1.0), m.Counted) == []
    assert said(ends(brain, ANNA), m.Counted) == []


def test_waiting_for_data_is_told_apart_from_a_task_s_own_time(brain: WorkerBrain) -> None:
    brain.client.waited_for_data(300)
    brain.client.waited_for_data(200)
    assert brain.own_time(2_000) == 1_500
    assert brain.own_time(1_000) == 1_000  # the next one did not wait
    brain.client.waited_for_data(50)
    assert brain.own_time(100) == 50
    (answer,) = said(ends(brain, ANNA), m.Results)
    assert isinstance(answer, m.Results)
    assert answer.moved == 550
    (answer,) = said(ends(brain, ANNA), m.Results)
    assert isinstance(answer, m.Results)
    assert answer.moved == 0


def test_no_task_has_waited_for_longer_than_it_ran(brain: WorkerBrain) -> None:
    brain.client.waited_for_data(300)
    assert brain.own_time(100) == 0
    assert brain.own_time(100) == 100
    (answer,) = said(ends(brain, ANNA), m.Results)
    assert isinstance(answer, m.Results)
    assert answer.moved == 100


def test_the_times_of_a_process_are_told_to_one_caller_each_once() -> None:
    clocks = {"cpu": 5.0, "held": 2.0}
    brain = WorkerBrain(
        ClientBrain(ME, 1, lambda *_: b""), lambda: clocks["cpu"], lambda: clocks["held"]
    )
    brain.ready()
    clocks.update(cpu=8.0, held=3.0)
    brain.client.waited_for_data(7)
    brain.own_time(9)
    answers = said(ends(brain, ANNA, BEN, ANNA), m.Results)
    times = [(one.cpu, one.held, one.moved) for one in answers if isinstance(one, m.Results)]
    assert times == [(3_000_000, 1_000_000, 7), (0, 0, 0)]
    clocks.update(cpu=8.5)
    answers = said(ends(brain, BEN), m.Results)
    times = [(one.cpu, one.held, one.moved) for one in answers if isinstance(one, m.Results)]
    assert times == [(500_000, 0, 0)]


def test_counts_are_told_now_and_then_while_a_task_runs(brain: WorkerBrain) -> None:
    tally = brain.client.tally("cell", 1.0)
    tally.job = ANNA
    told = []
    for step in range(8):
        tally.submitted += 1
        told += [step] * len(said(brain.report(1.0 + step * REPORT_SECONDS / 4), m.Counted))
    assert told == [0, 4]


def test_a_worker_is_busy_while_something_runs_and_until_its_node_knows_what_did(
    brain: WorkerBrain,
) -> None:
    spec = m.Spec(1, b"f", "f", 1, b"", "", ANNA, 0, {})
    assert not brain.busy()
    brain.begin(Item(ANNA, spec, 1, b"", None, [], 1.0), 1.0)
    assert brain.busy()
    assert [one.running for one in said(brain.report(1.0), m.Worked)] == [1]
    ends(brain, ANNA)
    brain.rest()
    assert brain.busy()
    (worked,) = said(brain.report(1.0 + REPORT_SECONDS), m.Worked)
    assert (worked.finished, worked.failed, worked.running) == (1, 0, 0)
    assert not brain.busy()


@pytest.mark.parametrize("waits", [False, True])
def test_a_task_that_begins_to_wait_hands_back_what_is_queued_behind_it(
    brain: WorkerBrain, waits: bool
) -> None:
    spec = m.Spec(1, b"f", "f", 1, b"", "", ANNA, 0, {"CPU": 10_000})
    running = Item(ANNA, spec, 1, b"", None, [], 1.0)
    brain.begin(running, 1.0)
    if waits:
        brain.block(running)
    brain.queue.extend(Item(caller, spec, seq, b"", None, [], 1.0) for caller, seq in
                       ((ANNA, 2), (BEN, 3), (ANNA, 4)))  # fmt: skip
    brain.done.append(Done(BEN, 9, 1, b"9", None, 10, (), ()))
    effects = brain.block(running, main=False)
    bounced = {(one.to, *one.message.seqs) for one in effects
               if isinstance(one, Send) and isinstance(one.message, m.Bounced)}  # fmt: skip
    assert bounced == (set() if waits else {(ANNA, 2, 4), (BEN, 3)})
    assert len(said(effects, m.Results)) == (not waits)
    assert brain.waits()
    assert brain.client.restless


def test_many_answers_are_as_few_messages_as_may_be(
    brain: WorkerBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more goes along until a message has more bytes than is good."""
    monkeypatch.setattr(answering, "MOST_ANSWERS", 10)
    for seq, size in enumerate((11, 6, 4, 1, 1), 1):
        brain.done.append(Done(ANNA, seq, 1, b"x" * size, None, 10, (), ()))
    told = [one.seqs for one in said(brain.flush(), m.Results) if isinstance(one, m.Results)]
    assert told == [[1], [2, 3, 4], [5]]
