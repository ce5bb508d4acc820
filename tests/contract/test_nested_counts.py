"""Tasks that tasks launch are counted for the cell that launched the first."""

from __future__ import annotations

import os
import signal
import time

import pytest
from api import ray

from nbray import session

pytestmark = pytest.mark.own


@pytest.fixture
def cell():
    """A cell of its own, so that its counts are those of the test."""
    token = session.cell.set(f"cell-{time.monotonic_ns()}")
    yield lambda: session.current().insight.snapshot().cells[session.cell.get()]
    session.cell.reset(token)


@ray.remote
def leaf(seconds=0.0):
    time.sleep(seconds)
    return 1


@ray.remote
def parent(count, depth=1):
    if depth > 1:
        return sum(ray.get([parent.remote(count, depth - 1) for _ in range(2)]))
    return sum(ray.get([leaf.remote() for _ in range(count)]))


@pytest.mark.concurrent
def test_one_level(cell, until):
    assert ray.get([parent.remote(10) for _ in range(3)]) == [10] * 3
    until(lambda: cell().submitted == 33)
    until(lambda: cell().finished)
    view = cell()
    assert (view.done, view.failed, view.nested) == (33, 0, 30)


@pytest.mark.concurrent
def test_two_levels(cell, until):
    assert ray.get(parent.remote(4, depth=3)) == 16
    until(lambda: cell().submitted == 1 + 2 + 4 + 16)
    until(lambda: cell().finished)


@pytest.mark.concurrent
def test_they_move_while_their_parent_waits(cell, until):
    @ray.remote
    def slow():
        return sum(ray.get([leaf.remote(0.5) for _ in range(9)]))

    ref = slow.remote()
    until(lambda: 0 < cell().done < 9 and cell().submitted == 10)
    assert ray.get(ref) == 9


@pytest.mark.concurrent
def test_a_task_that_leaves_others_running_ends_with_them(cell, until, tmp_path):
    @ray.remote
    def waits():
        while not (tmp_path / "go").exists():
            time.sleep(0.02)

    @ray.remote
    def leaves():
        return [waits.remote() for _ in range(2)]

    refs = ray.get(leaves.remote())
    until(lambda: cell().submitted == 3)
    assert not cell().finished
    (tmp_path / "go").touch()
    ray.get(refs)
    until(lambda: cell().finished)


@pytest.mark.concurrent
def test_a_parent_that_dies_leaves_no_bar_below_full(cell, until):
    @ray.remote(max_retries=0)
    def dies():
        refs = [leaf.remote(30) for _ in range(4)]
        ray.wait(refs, timeout=0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    ray.wait([dies.remote()], timeout=60)
    until(lambda: cell().finished)
    assert cell().failed >= 1
