"""Which life of an actor a message is about, and flags that say that something is left to do.

What the changes of `make mutants` got past the other tests.
"""

from __future__ import annotations

import sys
import threading

import pytest
from client_play import CALL, KEY, ME, Caller, sent

from nbray.config import DEAD_GRACE
from nbray.ids import HEAD, client_id, node_client
from nbray.runtime.core.client.actors import ALIVE, DEAD, RESTARTING
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.objects.objects import FAILED
from nbray.runtime.core.worker.brain import REPORT_SECONDS, WorkerBrain
from nbray.wire import messages as m

FIRST, SECOND = client_id(1, 2), client_id(1, 3)


@pytest.fixture
def caller() -> Caller:
    made = Caller()
    made.call()
    (calls,) = made.told(ALIVE, 1, FIRST)
    assert calls.incarnation == 1
    return made


@pytest.mark.parametrize(
    ("kind", "error"),
    [(m.Why.OTHER, b"ActorDiedError: "), (m.Why.UNSCHEDULABLE, b"ActorUnschedulableError: ")],
)
def test_the_error_of_a_call_follows_the_kind_of_cause(
    caller: Caller, kind: m.Why, error: bytes
) -> None:
    """Whatever its sentence says."""
    entry, _ = caller.call()
    cause = "unschedulable is only a word"
    caller.brain.handle(m.ActorState(HEAD, *KEY, DEAD, 1, cause=cause, kind=kind), 1.0)
    assert entry.value is not None
    assert entry.value.data == error + b"the actor A is dead: " + cause.encode()


@pytest.mark.parametrize("state", [DEAD, RESTARTING, ALIVE])
def test_news_of_an_earlier_life_changes_nothing(caller: Caller, state: int) -> None:
    entry, _ = caller.call()
    assert not caller.told(state, 0, SECOND)
    link = caller.brain.actors.links[KEY]
    assert (link.state, link.incarnation, link.worker) == (ALIVE, 1, FIRST)
    assert not entry.state


FAR = client_id(2, 9)


def elsewhere() -> Caller:
    """Of three machines: the caller's, the actor's, and the head's."""
    made = Caller(client_id(3, 1))
    made.call()
    made.told(ALIVE, 1, FAR)
    return made


@pytest.mark.parametrize("state", [DEAD, RESTARTING])
def test_what_left_before_an_actors_end_is_heard_where_the_head_is_a_third(state: int) -> None:
    caller = elsewhere()
    entry, _ = caller.call()
    (task,) = list(caller.brain.actors.links[KEY].inflight.values())[-1:]
    caller.told(state, 2 if state == RESTARTING else 1)
    behind, calls = caller.call()
    assert not calls, "it is not sent to the dead"
    caller.brain.handle(m.Results(FAR, [task.seq], [b"1"]), 1.01)
    assert entry.value is not None
    assert not getattr(entry.value, "failed", False)
    if state == RESTARTING:
        assert not caller.told(ALIVE, 2, SECOND), "news come in order"
    assert caller.brain.next_deadline() == 1.0 + DEAD_GRACE
    caller.brain.tick(1.0 + DEAD_GRACE)
    sends = sent(caller.brain.pump(1.1), m.Calls)
    assert [one.incarnation for one in sends] == ([2] if state == RESTARTING else [])
    assert bool(getattr(behind.value, "failed", False)) is (state == DEAD)
    assert caller.brain.actors.next_deadline() is None


def test_who_calls_an_actor_that_is_made_again(caller: Caller) -> None:
    """A call that may not be tried again is an error at once, as in Ray; others wait."""
    caller.told(RESTARTING, 2)
    waits, _ = caller.call(1)
    entry, _ = caller.call()
    assert entry.value is not None
    assert entry.value.data.startswith(b"ActorUnavailableError: A.add: it was killed; it is rest")
    assert entry.value.data.endswith(b"and the task was not executed")
    assert not waits.state
    assert [len(one.seqs) for one in caller.told(ALIVE, 2, SECOND)] == [1]


def test_an_actor_that_was_never_there_is_waited_for(caller: Caller) -> None:
    link = caller.brain.actors.links[KEY]
    link.created, link.worker = True, 0
    caller.told(RESTARTING, 2)
    entry, _ = caller.call()
    assert not entry.state
    assert caller.told(ALIVE, 2, SECOND)


def test_the_same_life_told_twice_sends_nothing_again(caller: Caller) -> None:
    entry, _ = caller.call()
    assert not caller.told(ALIVE, 1, FIRST)
    assert not entry.state
    assert len(caller.brain.actors.links[KEY].inflight) == 2


@pytest.mark.parametrize(("state", "incarnation"), [(RESTARTING, 1), (DEAD, 1), (ALIVE, 2)])
def test_calls_in_flight_end_with_the_life_they_were_sent_to(
    caller: Caller, state: int, incarnation: int
) -> None:
    entry, _ = caller.call()
    caller.told(state, incarnation, SECOND)
    assert entry.state == FAILED
    kind = b"ActorDiedError" if state == DEAD else b"ActorUnavailableError"
    assert entry.value.data.startswith(kind)


def test_calls_that_may_run_again_go_to_the_next_life_numbered_anew(caller: Caller) -> None:
    entry, (before,) = caller.call(retries=1)
    assert before.order == 1
    caller.told(RESTARTING, 1)
    (calls,) = caller.told(ALIVE, 2, SECOND)
    assert (calls.incarnation, calls.order, calls.seqs) == (2, 0, [entry.key[1]])
    assert calls.specs == [CALL]  # its process is a new one


def test_calls_wait_for_the_first_life() -> None:
    caller = Caller()
    entry, calls = caller.call()
    assert not calls
    assert caller.told(ALIVE, 0, FIRST)[0].order == 0
    assert not entry.state


@pytest.mark.parametrize("held", [False, True])
def test_a_dead_actor_is_remembered_while_somebody_has_a_handle(held: bool) -> None:
    caller = Caller()
    caller.brain.actors.follow(KEY, "A")
    if not held:
        del caller.brain.objects.owned[KEY[1]]
    caller.told(DEAD, 0)
    assert (KEY in caller.brain.actors.links) is held


@pytest.mark.parametrize("how", ["it dies", "it dies, then its handle goes", "its handle goes"])
def test_nothing_is_remembered_of_an_actor_that_is_over(caller: Caller, how: str) -> None:
    brain = caller.brain
    caller.told(RESTARTING, 1)
    caller.told(ALIVE, 2, SECOND)
    if how == "it dies":  # and nobody has a handle
        del brain.objects.owned[KEY[1]]
    if how.startswith("it dies"):
        caller.told(DEAD, 2)
    brain.objects.drop([KEY])
    ended = [*brain.pump(1.0), *brain.pump(1.0)]
    assert len(sent(ended, m.EndActor)) == (how == "its handle goes")
    kept = {name for name, held in vars(brain.actors).items() if held in ({}, [])}
    assert {"links", "creations", "_by_worker", "_dirty"} <= kept


# -- in the actor's process ------------------------------------------------------------


def actor() -> WorkerBrain:
    brain = WorkerBrain(ClientBrain(FIRST, 1, lambda *_: b""))
    spec = m.ActorSpec(
        ME, KEY[1], "", "", "A", b"A", b"", m.Value(), (ME, 6), [], {}, {}, 0, 1, False, False,
        b"", "", ME,
    )  # fmt: skip
    brain.handle(m.BecomeActor(node_client(1), spec, 3, []), 1.0)
    brain.queue.clear()
    return brain


def calls(incarnation: int, order: int, *seqs: int) -> m.Calls:
    count = len(seqs)
    return m.Calls(
        ME, KEY[1], incarnation, order, [1] * count, list(seqs), [b""] * count, {}, [CALL]
    )


@pytest.mark.parametrize("incarnation", [2, 4])
def test_calls_for_another_life_are_not_run(incarnation: int) -> None:
    brain = actor()
    brain.handle(calls(incarnation, 0, 1, 2), 1.0)
    assert not brain.queue


def test_calls_that_came_already_are_not_run_again() -> None:
    brain = actor()
    for message in (calls(3, 0, 1, 2), calls(3, 0, 1, 2), calls(3, 1, 2, 5)):
        brain.handle(message, 1.0)
    assert [item.seq for item in brain.queue] == [1, 2, 5]  # type: ignore[union-attr]


# -- flags -----------------------------------------------------------------------------


def test_counts_that_wait_for_their_time_keep_a_worker_awake() -> None:
    brain = WorkerBrain(ClientBrain(FIRST, 1, lambda *_: b""))
    tally = brain.client.tally("cell", 1.0)
    tally.job = ME
    tally.submitted = 1
    assert sent(brain.report(1.0), m.Counted)
    assert not brain.busy()
    tally.submitted = 2
    assert not sent(brain.report(1.0 + REPORT_SECONDS / 2), m.Counted)
    assert brain.busy()
    (counted,) = sent(brain.report(1.0 + REPORT_SECONDS), m.Counted)
    assert counted.submitted == 2
    assert not brain.busy()
    assert not sent(brain.report(9.0), m.Counted), "what is known is not told again"


def test_a_client_to_which_something_happened_looks_again() -> None:
    caller = Caller()
    for happens in (
        lambda: caller.brain.handle(m.Members(node_client(1), []), 1.0),
        lambda: caller.brain.cancel([], force=False),
    ):
        caller.brain.pump(1.0)
        assert not caller.brain.restless
        happens()
        assert caller.brain.restless


def test_a_client_looks_again_when_something_was_due_and_not_before() -> None:
    """Its thread asks all the time; looking costs every call of an actor."""
    caller = Caller()
    caller.brain.handle(m.Unclaimed(node_client(1), [m.Slot(1, 1, 0, 8, 1)]), 1.0)
    caller.brain.pump(1.0)
    due = caller.brain.next_deadline()
    assert due is not None
    assert not caller.brain.tick(due - 0.01)
    assert not caller.brain.restless
    caller.brain.tick(due)
    assert caller.brain.restless


def test_the_tallies_of_old_cells_are_let_go_and_open_ones_are_kept() -> None:
    brain = ClientBrain(ME, 1, lambda *_: b"")
    brain.tally("open", 1.0).submitted = 1
    for number in range(300):
        brain.tally(f"cell {number}", 1.0)
    assert len(brain.tallies) <= 201
    assert "open" in brain.tallies
    assert "cell 299" in brain.tallies
    assert "cell 0" not in brain.tallies
    assert brain.tally("open", 2.0).submitted == 1


def test_counts_of_nested_work_are_noted_where_they_belong() -> None:
    brain = ClientBrain(ME, 1, lambda *_: b"")
    tally = brain.tally("cell", 1.0)
    brain.handle(m.Counted(FIRST, "cell", 3, {1: 2}, {}, {}, {1: 1}, 7), 5.0)
    assert tally.nested[FIRST].submitted == 3
    assert tally.last == 5.0
    brain.handle(m.Counted(FIRST, "another", 3, {}, {}, {}, {}, 7), 6.0)
    assert set(brain.tallies) == {"cell"}


def test_the_next_deadline_may_be_asked_for_while_another_thread_works() -> None:
    """The loop's thread plans its sleep while a user's thread has the baton."""
    caller = Caller()
    submitter = caller.brain.tasks
    over = threading.Event()

    def work() -> None:
        for number in range(3000):
            pool = submitter.pools.pool({"CPU": number + 1}, 0, 0)
            submitter.pools.active[pool.id] = pool
            submitter.pools.active.pop(pool.id - 50, None)
            submitter.node_died(5, "it is gone", 1.0)
        over.set()

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=work)
    try:
        thread.start()
        while not over.is_set():
            caller.brain.next_deadline()
    finally:
        thread.join()
        sys.setswitchinterval(switching)


@pytest.mark.parametrize("why", ["the name 'a' is taken", ""])
def test_a_call_of_an_actor_that_was_refused_says_why(why: str) -> None:
    caller = Caller()
    entry, _ = caller.call()
    taken = m.ActorSpec(
        ME, 1, "a", "", "A", b"", b"", m.Value(), (0, 0), [], {}, {}, 0, 1, False, False, b"", "",
        ME,
    )  # fmt: skip
    message = m.ActorCreated(HEAD, KEY[1], None if why else taken, why)
    caller.brain.handle(message, 1.0)
    assert entry.value is not None
    said = why or "an actor of this name exists already"
    assert entry.value.data == b"ActorDiedError: the actor A is dead: " + said.encode()


def test_a_call_that_is_tried_again_is_not_in_flight_until_it_is_sent(caller: Caller) -> None:
    caller.call(retries=3)
    link = caller.brain.actors.links[KEY]
    (seq,) = [seq for seq, task in link.inflight.items() if task.work.max_retries]
    failed = m.Outcome(seq, [m.Value(b"", failed=True)], True, True)
    caller.brain.handle(m.Results(FIRST, [], [], [failed]), 1.0)
    assert not caller.told(RESTARTING, 2)
    (calls,) = caller.told(ALIVE, 2, SECOND)
    assert calls.seqs == [seq]


@pytest.mark.parametrize("unordered", [False, True])
def test_only_where_order_does_not_matter_a_call_overtakes_one_that_waits(
    caller: Caller, unordered: bool
) -> None:
    link = caller.brain.actors.links[KEY]
    link.unordered = unordered
    running = next(iter(link.inflight))
    _, nothing = caller.call(0, (ME, running))
    assert not nothing, "its argument is not ready"
    waiting = link.queue[0].seq
    free, sent_now = caller.call()
    assert [calls.seqs for calls in sent_now] == ([[free.key[1]]] if unordered else [])
    later = caller.brain.handle(m.Results(FIRST, [running], [b"1"]), 1.0)
    (calls,) = sent([*later, *caller.brain.pump(1.0)], m.Calls)
    assert calls.seqs == ([waiting] if unordered else [waiting, free.key[1]])
