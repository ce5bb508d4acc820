"""Cancelling with force: who is killed, when, and who is spared."""

from __future__ import annotations

from typing import Any

import pytest
from client_play import Caller

from nbray.ids import DRIVER_FLAG, client_id, node_client
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.cancelling import FORCE_SECONDS
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.effects import Effect, Send
from nbray.wire import messages as m

ME, WORKER = client_id(1, DRIVER_FLAG | 1), client_id(2, 2)
NODE = node_client(1)
CPU = {"CPU": 10_000}


def kills(effects: list[Effect]) -> list[tuple[int, int]]:
    sends = [effect for effect in effects if isinstance(effect, Send)]
    return [(one.to, one.message.worker) for one in sends if isinstance(one.message, m.KillWorker)]


class Play:
    """A client with a task that runs at a worker of another node, and one queued behind it."""

    def __init__(self) -> None:
        self.brain = ClientBrain(ME, 1, lambda *_: b"error")
        spec = m.Spec(1, b"f", "f", 1, b"", "", ME, 0, CPU)
        work = Work(spec, 0, self.brain.tasks.pools.pool(CPU, 0, 0), Tally("", 1.0), b"code")
        self.running, self.queued = (self.task(work, seq) for seq in (1, 2))
        self.brain.pump(1.0)
        self.brain.handle(m.Granted(NODE, 1, 7, WORKER), 1.0)
        self.brain.pump(1.0)

    def task(self, work: Work, seq: int) -> Task:
        task = Task(seq, work, b"", 1)
        self.brain.objects.promise(task, seq, 1)
        self.brain.submitted.append(task)
        return task

    def cancel(self, *tasks: Task, recursive: bool) -> list[tuple[int, int]]:
        return kills(self.brain.cancel(tasks, True, recursive, 10.0))

    def tick(self, seconds: float) -> list[tuple[int, int]]:
        return kills(self.brain.tick(10.0 + seconds))


HERS: Any = (node_client(2), WORKER)
"""Whom the worker's node kills."""


def test_with_force_a_tasks_worker_is_killed_at_once() -> None:
    play = Play()
    assert play.cancel(play.running, recursive=False) == [HERS]
    assert play.brain.next_deadline() is None


def test_with_what_it_launched_it_has_a_moment_to_pass_that_on() -> None:
    play = Play()
    assert not play.cancel(play.running, recursive=True)
    assert play.brain.next_deadline() == pytest.approx(10.0 + FORCE_SECONDS)
    assert not play.tick(FORCE_SECONDS / 2)
    assert play.tick(FORCE_SECONDS + 0.001) == [HERS]
    assert not play.tick(1.0)


def test_who_ends_within_that_moment_is_spared() -> None:
    play = Play()
    play.cancel(play.running, recursive=True)
    play.brain.handle(m.Results(WORKER, [1], [b"1"]), 10.01)
    assert not play.tick(1.0)


@pytest.mark.parametrize("recursive", [False, True])
def test_nobody_is_killed_for_what_runs_nowhere(recursive: bool) -> None:
    play = Play()
    assert not play.cancel(play.queued, recursive=recursive)
    assert not play.tick(1.0)
    assert play.queued.cancelled
    assert not play.running.cancelled


@pytest.mark.parametrize("expendable", [False, True])
def test_an_actor_is_killed_only_if_it_is_expendable(expendable: bool) -> None:
    caller = Caller()
    task = caller.call()[0].maker
    assert isinstance(task, Task)
    caller.told(m.ALIVE, 0, WORKER)
    assert not task.work.expendable, "unless it is said"
    task.work.expendable = expendable
    assert kills(caller.brain.cancel([task], True, False, 1.0)) == [HERS] * expendable
