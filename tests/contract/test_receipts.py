"""What engines measure of a cell's work, for its receipt."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from api import ray

from nbray import session
from nbray.util import map as nmap

pytestmark = pytest.mark.own

QUEUEING = Path("/proc/self/schedstat").exists()


@pytest.fixture
def cell(engine, until):
    """A cell of its own, so that its figures are those of the test."""
    token = session.cell.set(f"cell-{time.monotonic_ns()}")

    def view(runs=False):
        found = session.current().insight.snapshot().cells[session.cell.get()]
        if engine == "ray" and not runs and not found.finished:  # it tells every 50 ms
            until(lambda: view(True).finished)
            return view(True)
        return found

    yield view
    session.cell.reset(token)


@ray.remote
def take(seconds):
    time.sleep(seconds)


@ray.remote
def compute(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_times_of_tasks_are_summed_and_the_longest_is_known(cell):
    ray.get([take.remote(0.02) for _ in range(8)] + [take.remote(0.2)])
    view = cell()
    assert view.finished
    assert view.measured == 9
    assert 0.36 <= view.work < 60
    assert 0.2 <= view.longest < 60
    assert view.longest_node == view.nodes[0].name
    assert view.started < view.longest_end <= view.updated
    assert view.workers >= 1
    assert view.cpu < view.work


def test_time_ends_with_the_last_task(cell):
    ray.get([take.remote(0.01) for _ in range(3)])
    ended = cell().updated
    time.sleep(0.1)
    assert cell().updated == ended


def test_cpu_is_that_of_the_workers(cell):
    ray.get([compute.remote(0.1) for _ in range(3)])
    assert 0.3 <= cell().cpu < 3


def test_methods_are_measured_as_well(cell):
    @ray.remote
    class Slow:
        def take(self):
            time.sleep(0.05)

    slow = Slow.remote()
    ray.get([slow.take.remote() for _ in range(4)])
    assert cell().measured >= 4
    assert cell().work >= 0.2


@pytest.mark.concurrent
def test_items_of_a_map_are_measured_by_their_chunks(cell, until):
    def work(_):
        time.sleep(0.001)

    assert len(list(nmap(work, range(500)))) == 500
    until(lambda: cell().work >= 0.4)
    view = cell()
    assert (view.submitted, view.items, view.measured) == (500, 500, 500)
    assert view.workers >= 1


@pytest.mark.concurrent
@pytest.mark.skipif(not QUEUEING, reason="the kernel does not count who waits for a CPU")
def test_who_waits_for_a_cpu_that_others_have_is_counted(cell):
    busy = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(busy) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        ray.get([compute.remote(0.15) for _ in range(6)])
    finally:
        for one in others:
            one.kill()
            one.wait()
    view = cell()
    assert view.held > 0.1
    assert view.held + view.cpu < 2 * view.work + 1
    assert view.cpus == 4


@pytest.mark.concurrent
def test_who_sleeps_waits_for_no_cpu(cell):
    for _ in range(5):  # others on this machine may have the CPUs when one begins
        ray.get([take.remote(0.3) for _ in range(4)])
        if cell().held < 0.5 * cell().work:
            break
    assert cell().held < 0.5 * cell().work


@pytest.mark.concurrent
def test_the_longest_that_runs_is_known(cell, until, tmp_path):
    @ray.remote
    def waits():
        while not (tmp_path / "go").exists():
            time.sleep(0.02)

    ref = waits.remote()
    ray.get(take.remote(0.01))
    until(lambda: cell(runs=True).oldest > 0.3)
    (tmp_path / "go").touch()
    ray.get(ref)
    assert cell().oldest == 0
