"""What workers ran that are gone is not lost for timelines and tasks."""

from __future__ import annotations

import os
import time

import pytest
from api import ray

from nbray import details, session

pytestmark = [pytest.mark.own, pytest.mark.concurrent]


@ray.remote
class Works:
    def once(self):
        return os.getpid()

    def ends(self):
        os._exit(3)


def known(pid: int) -> int:
    """How many ended tasks are known of a process."""
    found = session.require().insight.details(details.TASKS)
    numbers = {one.client: one.pid for one in (*found.gone, *found.processes)}
    return sum(1 for one in found.tasks if one.ended and numbers.get(one.worker) == pid)


def alive(pid: int) -> bool:
    found = session.require().insight.details(details.TASKS)
    return pid in {one.pid for one in found.processes}


@pytest.mark.parametrize("end", ["its handle goes", "killed", "it exits"])
def test_what_a_worker_ran_that_has_ended(until, end):
    actor = Works.remote()
    (pid,) = set(ray.get([actor.once.remote() for _ in range(7)]))
    time.sleep(1.5)  # it rests
    if end == "killed":
        ray.kill(actor)
    elif end == "it exits":
        actor.ends.remote()
    del actor
    until(lambda: not alive(pid))
    until(lambda: known(pid) == 7)
