"""Which of a node's worker processes is taken."""

from __future__ import annotations

import pytest

from nbray.runtime.core.node.scheduling.workers import Worker, WorkerPool


def pool_of(*kinds: str) -> tuple[WorkerPool, list[Worker]]:
    """Workers that were forked one after the other and have become what *kinds* say."""
    pool = WorkerPool(0, 64, 30.0)
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
        worker.booked = kind in ("leased", "booked")
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
