"""How a task can end, and what its cell counts then; deaths of workers, leases that go back."""

from __future__ import annotations

import pytest
from client_play import ME, NODE, OTHER, WORKER, Play, sent

from nbray.config import (
    DEAD_GRACE,
    LEASE_LINGER,
    MEMORY_RETRY_SECONDS,
    MIXED_SECONDS,
    QUIET_SECONDS,
)
from nbray.ids import client_id, node_client
from nbray.runtime.core.client import task_records
from nbray.runtime.core.client.objects.objects import Entry
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.effects import Effect
from nbray.wire import messages as m

FAR = client_id(2, 3)


class Cell(Play):
    """A cell's tasks, of which each is short enough to be sent with others."""

    def __init__(self, count: int = 1, retries: int = 0, worker: int = WORKER) -> None:
        super().__init__()
        self.worker = worker
        self.f = self.work(retries=retries)
        self.f.estimate = 1e-5
        self.tasks = [self.task(self.f) for _ in range(count)]
        self.brain.pump(self.now)

    @property
    def first(self) -> Task:
        return self.tasks[0]

    def starts(self) -> list[int]:
        return self.went(self.grant(self.worker))

    def went(self, effects: list[Effect], to: int = 0) -> list[int]:
        messages = sent(effects, m.Tasks, to or self.worker)
        return [seq for message in messages for seq in message.seqs]

    def answers(self, **how: bool) -> list[Effect]:
        value = m.Value(b"what was said", failed=how.get("failed", False))
        outcome = m.Outcome(self.first.seq, [value], **how)
        return self.say(m.Results(self.worker, [], [], [outcome]))

    def cancel(self) -> None:
        self.do(self.brain.cancel([self.first], force=False))

    def do(self, effects: list[Effect]) -> list[Effect]:
        return [*effects, *self.brain.pump(self.now)]

    def dies(self, worker: int, oom: bool = False) -> None:
        self.brain.tasks.worker_died(
            m.Death(worker, "it was killed", out_of_memory=oom), self.now
        )

    def later(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.do(self.brain.tick(self.now))

    def counts(self) -> list[dict[int, int]]:
        """Tasks that are done, that failed and that were cancelled, by node."""
        tally = self.f.tally
        assert tally.left == self.brain.tasks.unfinished
        return [tally.done, tally.failed, tally.cancelled]

    def ends(self) -> list[tuple[int, str]]:
        """Which ended outside a worker: at whom, and why."""
        return [(worker, why) for _, _, worker, why, *_ in self.brain.tasks.ends]

    def error(self, task: Task) -> bytes:
        entry = self.brain.objects.owned[task.seq]
        assert isinstance(entry, Entry)
        assert isinstance(entry.value, m.Value)
        assert entry.value.failed
        return entry.value.data


@pytest.mark.parametrize("worker", [WORKER, FAR])
@pytest.mark.parametrize("small", [True, False])
def test_one_that_is_done_counts_where_it_ran(worker: int, small: bool) -> None:
    play = Cell(2, worker=worker)
    play.tasks[1].cancelled = True
    play.starts()
    if small:
        play.say(m.Results(worker, [play.first.seq], [b"1"]))
    else:
        play.answers()
    assert play.counts() == [{worker >> 32: 1}, {}, {}]
    assert play.ends() == []


def test_one_that_raises_has_failed_there() -> None:
    play = Cell(worker=FAR)
    play.starts()
    play.answers(failed=True)
    assert play.counts() == [{}, {2: 1}, {}]


@pytest.mark.parametrize("queued", [True, False])
def test_one_that_is_cancelled_counts_as_that_and_not_as_failed(queued: bool) -> None:
    play = Cell(worker=FAR)
    if not queued:
        play.starts()
    play.cancel()
    if not queued:
        assert play.counts() == [{}, {}, {}]
        play.answers(failed=True, retry=False, cancelled=True)
    assert play.counts() == [{}, {}, {0 if queued else 2: 1}]
    assert play.ends() == ([(0, "")] if queued else [])
    play.cancel()
    assert play.counts() == [{}, {}, {0 if queued else 2: 1}]
    assert (b"was cancelled" in play.error(play.first)) is queued


def test_one_that_had_not_begun_when_it_was_cancelled_ran_nowhere() -> None:
    play = Cell(worker=FAR)
    play.starts()
    play.cancel()
    nothing = m.Outcome(play.first.seq, [m.Value(failed=True)], True, False, True)
    play.say(m.Results(FAR, [], [], [nothing]))
    assert play.counts() == [{}, {}, {0: 1}]
    assert b"f was cancelled" in play.error(play.first)


def test_one_that_was_cancelled_and_is_given_back_ran_nowhere() -> None:
    play = Cell(2, retries=3)
    play.starts()
    play.cancel()
    assert play.went(play.say(m.Bounced(WORKER, [one.seq for one in play.tasks]))) == [
        play.tasks[1].seq
    ]
    assert play.counts() == [{}, {}, {0: 1}]
    assert play.ends() == [(0, "")]


def test_one_whose_argument_has_failed_has_failed_nowhere() -> None:
    play = Cell(0)
    play.brain.objects.owned[90] = entry = Entry((ME, 90), 1)
    play.task(play.f, deps=((ME, 90),))
    play.brain.pump(play.now)
    assert not play.brain.tasks.restless
    play.brain.objects.resolve(entry, m.Value(b"an error", failed=True))
    assert play.brain.tasks.restless
    play.brain.pump(play.now)
    assert play.counts() == [{}, {0: 1}, {}]
    assert play.ends() == [(0, "one of its arguments failed")]
    assert not play.brain.tasks.restless


def test_those_that_no_node_can_run_have_failed_nowhere() -> None:
    play = Cell(3)
    play.cancel()
    effects = play.say(m.Infeasible(NODE, 1, "nobody has a GPU"))
    assert play.counts() == [{}, {0: 2}, {0: 1}]
    assert play.ends() == [(0, ""), (0, "nobody has a GPU"), (0, "nobody has a GPU")]
    assert b"TaskUnschedulableError: nobody has a GPU" in play.error(play.tasks[1])
    assert [one.count for one in sent(effects, m.Demand, NODE)] == [0]
    late = play.task(play.f)
    assert [one.count for one in sent(play.brain.pump(play.now), m.Demand)] == [1]
    assert play.went(play.grant()) == [late.seq]
    assert play.say(m.Infeasible(NODE, 77, "of no shape")) == []


@pytest.mark.parametrize(("retries", "tries"), [(0, 1), (1, 2), (2, 3), (-1, 9)])
def test_one_whose_exception_is_retried_counts_when_it_ends(retries: int, tries: int) -> None:
    play = Cell(retries=retries)
    play.starts()
    attempts = [0]
    for _ in range(8):
        assert play.counts() == [{}, {}, {}]
        messages = sent(play.answers(failed=True, retry=True), m.Tasks)
        if not messages:
            break
        (message,) = messages
        attempts.append(message.extras[0].attempt)
    assert attempts == list(range(tries))
    assert play.counts() == [{}, {1: 1} if tries < 9 else {}, {}]


def test_a_death_fails_what_ran_and_not_what_was_queued_behind_it() -> None:
    play = Cell(3, retries=1, worker=FAR)
    assert play.starts() == [one.seq for one in play.tasks]
    play.dies(FAR)
    play.dies(FAR)
    assert play.brain.tasks.next_deadline() == play.now + DEAD_GRACE
    assert not play.later(DEAD_GRACE / 2)
    play.later(DEAD_GRACE / 2)
    assert play.brain.tasks.next_deadline() is None
    assert play.counts() == [{}, {}, {}]
    (message,) = sent(play.grant(WORKER, 8), m.Tasks)
    assert message.seqs == [play.first.seq], "one at a time now, in the order of before"
    assert message.extras[0].attempt == 1
    play.dies(WORKER)
    play.later(DEAD_GRACE)
    assert play.counts() == [{}, {1: 1}, {}]
    assert play.ends() == [(FAR, "it was killed"), (WORKER, "it was killed")], "each attempt"
    assert b"WorkerCrashed" in play.error(play.first)
    assert b"f: it was killed (the last of 2 attempts: max_retries=1)" in play.error(play.first)
    (message,) = sent(play.grant(OTHER, 9), m.Tasks)
    assert (message.seqs, message.extras) == ([play.tasks[1].seq], {})


def test_what_the_kernel_ended_for_want_of_memory_waits_before_it_is_tried_again() -> None:
    play = Cell(2, retries=1, worker=FAR)
    play.starts()
    play.dies(FAR, oom=True)
    play.later(DEAD_GRACE)
    assert play.went(play.grant(OTHER, 8), OTHER) == [play.tasks[1].seq], "the other waits not"
    assert play.brain.tasks.next_deadline() == play.now + MEMORY_RETRY_SECONDS
    play.later(MEMORY_RETRY_SECONDS)
    (message,) = sent(play.grant(WORKER, 9), m.Tasks)
    assert (message.seqs, message.extras[0].attempt) == ([play.first.seq], 1)
    play.dies(WORKER, oom=True)
    play.later(DEAD_GRACE)
    assert b"OutOfMemory" in play.error(play.first)
    assert b"(the last of 2 attempts: max_retries=1)" in play.error(play.first)


def test_the_last_words_of_a_dead_worker_count_if_they_come_soon() -> None:
    play = Cell(2, retries=1)
    play.starts()
    play.dies(WORKER)
    assert play.went(play.say(m.Results(WORKER, [play.first.seq], [b"1"]))) == []
    effects = play.later(DEAD_GRACE)
    assert not sent(effects, m.Returned), "nobody is left to be given back"
    (message,) = sent(play.grant(OTHER, 8), m.Tasks)
    assert message.seqs == [play.tasks[1].seq]
    assert message.extras[0].attempt == 1
    assert play.counts() == [{1: 1}, {}, {}]


def test_what_was_cancelled_is_not_tried_again_after_a_death() -> None:
    play = Cell(2, retries=3)
    play.starts()
    play.cancel()
    play.dies(WORKER)
    play.later(DEAD_GRACE)
    assert play.counts() == [{}, {}, {0: 1}]
    assert play.went(play.grant(OTHER, 8), OTHER) == [play.tasks[1].seq]


def test_of_a_lost_node_all_workers_are_dead_and_no_other() -> None:
    play = Cell(0)
    slow = play.work(retries=3)
    tasks = [play.task(slow) for _ in range(3)]
    play.brain.pump(play.now)
    for lease, worker in enumerate((FAR, WORKER, client_id(2, 9)), 7):
        play.grant(worker, lease)
    play.brain.tasks.node_died(2, "node 2 is gone", play.now)
    effects = play.later(DEAD_GRACE)
    assert not sent(effects, m.Tasks)
    again = [play.went(play.grant(client_id(1, 9 + lease)), client_id(1, 9 + lease))
             for lease in (10, 11)]  # fmt: skip
    assert sorted(again) == [[tasks[0].seq], [tasks[2].seq]]


# -- leases -----------------------------------------------------------------------------


def test_workers_are_asked_for_by_powers_of_two_and_not_for_a_few_less() -> None:
    play = Cell(0)
    work = play.work()
    asked = []
    for _ in range(9):
        play.task(work)
        asked += [one.count for one in sent(play.brain.pump(play.now), m.Demand)]
    assert asked == [1, 2, 4, 8, 16]
    for lease in range(9):
        effects = play.grant(client_id(1, 20 + lease), 20 + lease)
        asked += [one.count for one in sent(effects, m.Demand)]
    assert asked[5:] == [9], "as many as there are, once nothing waits"


def test_no_more_workers_are_asked_for_than_any_node_could_give() -> None:
    play = Cell(0)
    work = play.work()
    for _ in range(1500):
        play.task(work)
    (demand,) = sent(play.brain.pump(play.now), m.Demand)
    assert demand.count == 1024


@pytest.mark.parametrize("busy", [True, False])
def test_a_worker_that_is_asked_back_goes_as_soon_as_it_rests(busy: bool) -> None:
    play = Cell(2)
    play.f.max_retries = 3
    play.starts()
    if not busy:
        play.say(m.Results(WORKER, [one.seq for one in play.tasks], [b"1", b"2"]))
    assert len(sent(play.say(m.Reclaim(NODE, 7)), m.Returned)) == (not busy)
    if busy:
        late = play.task(play.f)
        assert play.went(play.brain.pump(play.now)) == []
        assert not sent(play.say(m.Results(WORKER, [play.first.seq], [b"1"])), m.Returned)
        (back,) = sent(play.say(m.Results(WORKER, [play.tasks[1].seq], [b"1"])), m.Returned)
        assert (back.lease, back.worker) == (7, WORKER)
        assert play.went(play.grant(OTHER, 8), OTHER) == [late.seq]
    assert play.say(m.Reclaim(NODE, 77)) == []


def test_a_worker_for_which_nothing_is_left_goes_back_to_its_node() -> None:
    play = Cell(1)
    play.starts()
    effects = play.grant(FAR, 8)
    assert [(one.lease, one.worker) for one in sent(effects, m.Returned, node_client(2))] == [
        (8, FAR)
    ]


def test_a_worker_that_has_rested_for_long_enough_goes_back() -> None:
    play = Cell(1)
    play.starts()
    assert play.brain.tasks.next_deadline() is None
    play.now += 1
    play.say(m.Results(WORKER, [play.first.seq], [b"1"]))
    assert play.brain.tasks.next_deadline() == play.now + LEASE_LINGER
    assert not sent(play.later(LEASE_LINGER / 2), m.Returned)
    effects = play.later(LEASE_LINGER / 2)
    assert [one.lease for one in sent(effects, m.Returned)] == [7]
    assert [one.count for one in sent(effects, m.Demand)] == [0]
    assert play.brain.tasks.next_deadline() is None
    assert not play.brain.tasks.pools.active


def test_what_runs_is_counted_by_cell_and_node() -> None:
    play = Cell(0)
    works: list[Work] = []
    for cell in ("one", "two"):
        work = play.work()
        work.spec = m.Spec(len(works) + 1, b"f", "f", 1, b"", cell, ME, 0, {"CPU": 10_000})
        works.append(work)
    for work in (works[0], works[0], works[1]):
        play.task(work)
    play.brain.pump(play.now)
    for lease, worker in enumerate((FAR, client_id(2, 4), WORKER), 7):
        play.now += 1
        play.grant(worker, lease)
    assert play.brain.tasks.pools.running() == {"one": {2: 2}, "two": {1: 1}}
    assert play.brain.tasks.pools.oldest(play.now + 1) == {"one": 3.0, "two": 1.0}


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """Two workers with a task each, behind which short ones may be queued."""
    monkeypatch.setattr(task_records, "PIPELINE_MAX", 8)
    play = Cell(0, retries=3)
    for lease, worker in ((7, WORKER), (8, OTHER)):
        play.tasks.append(play.task(play.work("g", spec=2)))
        play.brain.pump(play.now)
        play.grant(worker, lease)
    for held in play.brain.tasks.pools.by_worker.values():
        held.alone = False  # as if it were known that these take a moment
    return play


@pytest.mark.parametrize("count", [2, 8])
def test_work_is_shared_out_among_all_workers(two: Cell, count: int) -> None:
    tasks = [two.task(two.f).seq for _ in range(count)]
    effects = two.brain.pump(two.now)
    shares = [two.went(effects, worker) for worker in (WORKER, OTHER)]
    assert shares == [tasks[: count // 2], tasks[count // 2 :]]


def test_who_has_the_least_to_do_gets_what_comes_next(two: Cell) -> None:
    two.task(two.f)
    assert two.went(two.brain.pump(two.now), WORKER)
    late = two.task(two.f)
    assert two.went(two.brain.pump(two.now), OTHER) == [late.seq]


@pytest.mark.parametrize("estimate", [-1.0, 0.2])
def test_nothing_is_queued_behind_what_may_take_long_nor_that_behind_others(
    two: Cell, estimate: float
) -> None:
    two.brain.tasks.pools.by_worker[OTHER].alone = True
    long, short = two.task(two.work("h", spec=3)), two.task(two.f)
    long.work.estimate = estimate
    assert not two.went(two.brain.pump(two.now), WORKER)
    ended = m.Results(WORKER, [two.first.seq], [b"1"])
    assert two.went(two.say(ended), WORKER) == [long.seq]
    ended = m.Results(WORKER, [long.seq], [b"1"])
    assert two.went(two.say(ended), WORKER) == [short.seq]


@pytest.mark.parametrize(("estimate", "mixed"), [(1e-4, True), (MIXED_SECONDS, False)])
def test_only_their_own_kind_is_queued_behind_tasks_that_take_a_while(
    two: Cell, estimate: float, mixed: bool
) -> None:
    for work in (two.first.work, two.tasks[1].work):
        work.estimate = estimate
    other = two.task(two.f)
    assert two.went(two.brain.pump(two.now), WORKER) == [other.seq] * mixed


def test_nothing_more_is_queued_at_a_worker_that_has_not_answered_for_a_while(two: Cell) -> None:
    two.brain.tasks.pools.by_worker[OTHER].alone = True
    two.now += QUIET_SECONDS
    two.task(two.f)
    assert not two.went(two.brain.pump(two.now), WORKER)


def test_a_worker_is_refilled_by_halves(two: Cell) -> None:
    two.dies(OTHER)
    two.later(DEAD_GRACE)
    two.say(m.Results(WORKER, [two.first.seq], [b"1"]))
    two.say(m.Results(WORKER, [two.tasks[1].seq], [b"1"]))
    tasks = [two.task(two.f).seq for _ in range(20)]
    effects = two.brain.pump(two.now)
    if not two.went(effects):
        effects = two.grant(WORKER, 9)
    assert two.went(effects) == tasks[:8]
    sizes = [len(two.went(two.say(m.Results(WORKER, [seq], [b"1"])))) for seq in tasks[:9]]
    assert sizes == [0, 0, 0, 4, 0, 0, 0, 4, 0]


def test_a_dead_worker_gets_nothing_more(two: Cell) -> None:
    two.dies(WORKER)
    tasks = [two.task(two.f).seq for _ in range(3)]
    effects = two.brain.pump(two.now)
    assert (two.went(effects, WORKER), two.went(effects, OTHER)) == ([], tasks)


def test_only_the_last_ends_are_remembered() -> None:
    play = Cell(600)
    play.say(m.Infeasible(NODE, 1, "nobody has a GPU"))
    assert [seq for _, seq, *_ in play.brain.tasks.ends] == [one.seq for one in play.tasks[100:]]
