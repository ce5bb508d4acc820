"""Which of a node's worker processes is taken."""

from __future__ import annotations

import pytest

from nbray.runtime.core.node.scheduling.workers import STORY, State, Worker, WorkerPool


def pool_of(*kinds: str, ready: int = 0, cap: int = 64) -> tuple[WorkerPool, list[Worker]]:
    """Workers that were forked one after the other and have become what *kinds* say."""
    pool = WorkerPool(ready, cap, 30.0)
    workers = []
    for number, kind in enumerate(kinds, 1):
        now = float(number)
        worker, _ = pool.fork(number, 2 if kind == "other threads" else 1, now)
        workers.append(worker)
        if kind != "forking":
            pool.registered(number, 70 + number, now)
        if kind in ("used", "leased"):
            worker.move("lease", now)
        if kind == "used":
            worker.move("returned", now)
        if kind == "actor":
            worker.move("become", now)
        worker.booked = kind in ("leased", "booked", "actor")
        if kind == "leaving":
            pool.ask(worker, "idle", now)
    return pool, workers


@pytest.mark.parametrize("unfit", ["leased", "booked", "leaving", "other threads", "forking"])
@pytest.mark.parametrize("fresh", [True, False])
def test_those_that_are_unfit_hide_no_idle_one(unfit: str, fresh: bool) -> None:
    pool, (_, idle) = pool_of(unfit, "idle")
    assert pool.spare(1, fresh) is idle


@pytest.mark.parametrize("kinds", [("used", "idle"), ("idle", "used")])
def test_an_actor_gets_a_process_that_has_run_nothing(kinds: tuple[str, str]) -> None:
    """Its end would take along what tasks had left there."""
    pool, workers = pool_of(*kinds)
    assert pool.spare(1, fresh=True) is workers[kinds.index("idle")]
    assert pool.spare(1, fresh=False) is workers[1]  # the warmest


def test_one_that_is_being_forked_is_taken_if_no_other_is_there() -> None:
    pool, (first, _, leaving) = pool_of("forking", "forking", "leaving")
    assert pool.spare(1, fresh=False) is first
    assert pool.spare(2, fresh=False) is None
    leaving.leaving = False  # it has declined
    assert pool.spare(1, fresh=False) is leaving


class Few:
    """Room for *count* descriptors."""

    def __init__(self, count: int) -> None:
        self.count = count

    def left(self) -> int:
        return self.count

    def take(self, count: int) -> bool:
        self.count -= count
        return True

    def told(self) -> str:
        return "no descriptors are left"


@pytest.mark.parametrize(("count", "bound"), [(0, False), (1, False), (2, True), (3, True)])
def test_what_bounds_the_processes_is_named(count: int, bound: bool) -> None:
    """The last place is for tasks: at the one before, an actor meets the bound."""
    pool = WorkerPool(0, 3, 30.0, Few(0), "the machine bears no more")
    for number in range(count):
        pool.fork(number, 1, 1.0)
    assert ("the machine bears no more" in pool.why_full()) is bound
    assert ("no descriptors are left" in pool.why_full()) is not bound


def test_what_the_processes_do_is_counted() -> None:
    pool, _ = pool_of("leased", "actor", "actor", "actor", "leased", cap=5)
    assert "has 5 worker processes (3 actors, 2 in tasks" in pool.why_full()


@pytest.mark.parametrize(
    ("actor", "full"), [(False, [False, False, True]), (True, [False, True, True])]
)
def test_the_last_process_is_not_for_an_actor(actor: bool, full: list[bool]) -> None:
    pool = WorkerPool(0, 2, 30.0)
    found = [pool.full(actor)]
    for number in (1, 2):
        pool.fork(number, 1, 1.0)
        found.append(pool.full(actor))
    assert found == full


@pytest.mark.parametrize(
    ("left", "forking", "full", "for_actor"),
    [(1, 0, True, True), (2, 0, False, True), (3, 0, False, True), (4, 0, False, False),
     (3, 1, True, True), (4, 1, False, True), (6, 1, False, False), (5, 1, False, True)],
)  # fmt: skip
def test_descriptors_of_those_that_are_coming_are_kept(
    left: int, forking: int, full: bool, for_actor: bool
) -> None:
    room = Few(left + 2)
    pool = WorkerPool(0, 64, 30.0, room)
    pool.fork(1, 1, 1.0)
    pool.registered(1, 71, 1.0)
    assert room.count == left
    for number in range(forking):
        pool.fork(10 + number, 1, 1.0)
    assert pool.full() is full
    assert pool.full(actor=True) is for_actor


@pytest.mark.parametrize(
    ("kinds", "spared"),
    [(("idle", "leased"), True), (("idle", "booked"), False), (("idle", "forking"), True),
     (("idle", "idle"), True), (("leased", "leased"), True), (("idle", "actor"), False)],
)  # fmt: skip
def test_tasks_keep_a_process_when_an_actor_takes_one(kinds: tuple[str, str], spared: bool) -> None:
    pool, _ = pool_of(*kinds, cap=2)
    assert pool.spares_one() is spared


def deaths(pool: WorkerPool, *times: float, registered: bool = False) -> float:
    """A worker dies at each of these moments, soon after its start; until when none is forked."""
    for number, now in enumerate(times, 1):
        pool.fork(number, 1, now - 0.5)
        if registered:
            pool.registered(number, 70, now - 0.25)
        pool.died(number, now)
    return pool.paused_until


@pytest.mark.parametrize(
    ("times", "until"),
    [((10.0, 11.0), 0.0), ((10.0, 11.0, 12.0), 13.0), ((10.0, 15.0, 20.0), 21.0),
     ((10.0, 11.0, 16.5), 0.0), ((10.0, 15.5, 16.0), 0.0), ((10.0, 15.5, 16.0, 16.5), 17.5),
     ((10.0, 11.0, 12.0, 14.0, 14.5), 13.0), ((10.0, 11.0, 12.0, 14.0, 14.5, 15.0), 16.0)],
)  # fmt: skip
def test_three_that_die_at_their_start_make_a_pause_unless_long_apart(
    times: tuple[float, ...], until: float
) -> None:
    assert deaths(WorkerPool(0, 64, 30.0), *times) == until


@pytest.mark.parametrize(("count", "paused"), [(11, False), (12, True)])
def test_those_that_die_soon_after_their_start_count_a_quarter(count: int, paused: bool) -> None:
    times = [10.0 + number / 4 for number in range(count)]
    until = deaths(WorkerPool(0, 64, 30.0), *times, registered=True)
    assert until == (times[-1] + 1.0 if paused else 0.0)


@pytest.mark.parametrize(("age", "why"), [(1.0, ""), (0.5, "it was killed")])
def test_who_dies_later_or_was_ended_makes_no_pause(age: float, why: str) -> None:
    pool = WorkerPool(0, 64, 30.0)
    for number in range(20):
        worker, _ = pool.fork(number, 1, 10.0)
        worker.why = why
        assert pool.died(number, 10.0 + age) is worker
    assert pool.paused_until == 0.0
    assert pool.died(5, 10.0) is None
    assert pool.get(5) is None


def test_while_it_pauses_none_is_forked_and_then_those_that_are_missing() -> None:
    pool = WorkerPool(2, 64, 30.0)
    assert pool.missing(9.0) == 2
    deaths(pool, 10.0, 11.0, 12.0)
    assert (pool.missing(12.5), pool.next_deadline(12.5)) == (0, 13.0)
    assert (pool.missing(13.0), pool.next_deadline(13.0)) == (2, None)
    worker, _ = pool.fork(7, 1, 13.0)
    assert pool.missing(13.0) == 1
    pool.end(worker, "it is over", 14.0)
    assert pool.missing(14.0) == 2


def test_who_has_been_idle_for_longest_ends_first_beyond_those_kept_ready() -> None:
    pool = WorkerPool(1, 64, 30.0)
    for number in (3, 1, 2):
        pool.fork(number, 1, float(number))
        pool.registered(number, 70 + number, float(number))
    assert pool.next_deadline(5.0) == 31.0
    assert not pool.overdue(30.9)
    assert [one.client for one in pool.overdue(31.0)] == [1]
    assert [one.client for one in pool.overdue(99.0)] == [1, 2]
    (first,) = pool.overdue(31.0)
    pool.ask(first, "idle", 31.0)
    assert pool.next_deadline(31.5) == 32.0, "the next of them"
    first.leaving = False  # it has declined
    assert not [one for one in pool.overdue(60.9) if one is first]
    assert first in pool.overdue(61.0)


@pytest.mark.parametrize("ready", [2, 3])
def test_those_kept_ready_never_end(ready: int) -> None:
    pool = WorkerPool(ready, 64, 30.0)
    for number in (1, 2):
        pool.fork(number, 1, 1.0)
        pool.registered(number, 70, 1.0)
    assert not pool.overdue(99.0)
    assert pool.next_deadline(2.0) is None


def test_to_make_room_the_one_that_was_idle_for_longest_is_asked_and_one_at_a_time() -> None:
    pool, (second, first, _) = pool_of("idle", "idle", "leased")
    second.since = 3.0
    assert pool.evict(9.0) is first
    pool.ask(first, "room", 9.0)
    assert pool.evict(9.0) is None, "it may still go"
    first.leaving = False  # it has declined
    assert pool.evict(9.5) is second
    pool.ask(second, "room", 9.5)
    second.leaving = False
    assert pool.evict(9.9) is None
    assert pool.evict(10.0) is first


def test_a_full_node_looks_again_at_whoever_has_declined() -> None:
    full, workers = pool_of("idle", "idle", ready=5, cap=2)
    assert full.next_deadline(9.0) is None, "nobody has been asked"
    for worker, asked in zip(workers, (9.25, 9.0), strict=True):
        full.ask(worker, "room", asked)
        worker.leaving = False
    assert full.next_deadline(9.5) == 10.0
    assert full.next_deadline(10.0) == 10.25
    assert full.next_deadline(10.25) is None


def test_a_worker_is_ended_once_and_remembers_its_last_steps() -> None:
    pool, (worker,) = pool_of("idle")
    for number in range(20):
        worker.move("lease" if number % 2 == 0 else "returned", 5.0 + number)
    assert worker.used
    assert worker.since == 24.0
    assert len(worker.story) == STORY
    assert worker.story[-1] == "24.000 returned"
    assert pool.end(worker, "it is over", 25.0)
    assert worker.why == "it is over"
    assert not pool.end(worker, "it is over twice", 26.0)
    assert (worker.why, worker.since) == ("it is over", 25.0)
    pool.registered(worker.client, 99, 27.0)
    assert worker.state is State.ENDING
    assert pool.registered(12345, 99, 27.0) is None
