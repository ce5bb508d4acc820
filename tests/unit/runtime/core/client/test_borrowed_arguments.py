"""What a task was given is held until its worker's borrows are known, what lies inside, too."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.ids import client_id
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.objects.objects import READY, Entry
from nbray.runtime.core.client.task_records import Task
from nbray.runtime.core.effects import Send
from nbray.runtime.shell.worker.executor import Executor
from nbray.wire import messages as m

ME, WORKER, THIRD = client_id(1, 2), client_id(2, 3), client_id(3, 4)
OUTER, INNER = (ME, 5), (THIRD, 9)


@pytest.mark.parametrize("unstarted", [False, True])
def test_references_in_the_value_of_an_argument(unstarted: bool) -> None:
    brain = ClientBrain(ME, 1, lambda *_: b"")
    objects = brain.objects
    objects.added.append(INNER)
    objects.settle_added()
    objects.acknowledged(m.Borrowed(THIRD, 1))
    outer = objects.owned[5] = Entry(OUTER, 1, READY, m.Value(b"x", [], [INNER]))
    outer.refs = (INNER,)
    task: Any = Task.__new__(Task)
    task.seq, task.life, task.pins, task.held = 7, None, (OUTER,), True
    task.extra = m.Extra(None, None, [(0, outer.value, OUTER)])
    item: Any = type("Item", (), {"extra": task.extra, "caller": ME})
    executor: Any = type("Executor", (), {"brain": type("Brain", (), {"me": WORKER})})
    assert Executor._third(executor, item) == (INNER,), "its worker says when it has borrowed it"

    brain.tasks._unpin(task, 0 if unstarted else WORKER)
    release = [Send(THIRD, m.Release(ME, [9]))]

    def settled() -> list[Any]:
        return [one for now in (0.0, 1.0, 2.0) for one in (*brain.pump(now), *brain.tick(now))]

    if unstarted:
        assert settled() == release
        return
    assert not settled()
    assert 5 not in objects.owned
    objects.unpinned(WORKER, [7])
    assert settled() == release
