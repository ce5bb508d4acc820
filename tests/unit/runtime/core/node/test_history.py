"""What a node remembers of workers that are gone."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nbray import details as d
from nbray.details import ProcessRecord
from nbray.ids import client_id, node_client
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.survey import Survey
from nbray.runtime.core.effects import Send
from nbray.runtime.core.node import history as module
from nbray.runtime.core.node.history import History
from nbray.runtime.core.worker.brain import Done, WorkerBrain
from nbray.wire import messages as m

NODE = node_client(1)
WORKER, OTHER, WATCHER = client_id(1, 7), client_id(1, 8), client_id(1, 1 << 31 | 1)


def task(number: int, worker: int = WORKER) -> d.TaskRecord:
    at = 5.0 + number
    return d.TaskRecord(WATCHER, number, "f", "c", WATCHER, d.DONE, worker, at, at + 1)


def ask(seen: int = 0, wanted: int = d.TASKS) -> m.Describe:
    return m.Describe(WATCHER, wanted, 100, {NODE: seen} if seen else {})


def test_what_a_live_worker_told_is_its_own_to_tell() -> None:
    history = History(NODE)
    history.told(WORKER, [task(1)])
    assert history.described(ask(), [], 9.0).ended == []


@pytest.mark.parametrize("seen", [0, 1, 2, 3, 99])
def test_each_watcher_hears_what_it_has_not_seen(seen: int) -> None:
    history = History(NODE)
    history.told(WORKER, [task(1), task(2)])
    history.gone(ProcessRecord(WORKER, 4321, False))
    history.told(OTHER, [task(3, OTHER)])
    history.gone(ProcessRecord(OTHER, 4322, False))
    answer = history.described(ask(seen), [], 9.0)
    assert [one.seq for one in answer.ended] == [1, 2, 3][seen:]
    assert answer.ended_count == 3
    assert [(one.pid, one.driver) for one in answer.gone] == [(4321, False), (4322, False)]


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETIRED", 5)
    history = History(NODE)
    for worker in range(20):
        history.told(worker, [task(worker), task(worker + 100)])
        history.gone(ProcessRecord(worker, worker, False))
    answer = history.described(ask(), [], 9.0)
    assert [one.seq for one in answer.ended] == [117, 18, 118, 19, 119]
    assert answer.ended_count == 40
    assert history.described(ask(wanted=d.OBJECTS), [], 9.0).ended == []


def test_a_watcher_keeps_it_once_with_the_process_number() -> None:
    history, survey = History(NODE), Survey(WATCHER)
    told = m.Described(WORKER, 8.0, d.TASKS, ended=[task(1)], ended_count=1)
    survey.answered(told, 8.0)
    history.told(WORKER, [task(1), task(2)])
    history.gone(ProcessRecord(WORKER, 4321, False))
    for _ in range(2):
        survey.answered(history.described(ask(), [], 9.0), 9.0)
    found = survey.details(9.5, {1})
    assert sorted(one.seq for one in found.tasks) == [1, 2]
    assert [(one.client, one.pid) for one in found.gone] == [(WORKER, 4321)]
    assert found.processes == ()


def worker_with(count: int) -> WorkerBrain:
    brain = WorkerBrain(ClientBrain(WORKER, 1, lambda *_: b""))
    for number in range(count):
        spec = m.Spec(1, b"", "f", 1, b"", "c", WATCHER, 0, {})
        brain.past.append((spec, WATCHER, number, time.perf_counter(), 10, None))
        brain.done.append(Done(WATCHER, number, 1, b"", None, 10, (), ()))
    brain.flush()
    return brain


def told(effects: list[Any]) -> list[int]:
    found = [one.message for one in effects if isinstance(one.message, m.Remember)]
    return [record.seq for message in found for record in message.ended]


@pytest.mark.parametrize("count", [1, 3, 50])
def test_a_worker_tells_when_it_rests(count: int) -> None:
    brain = worker_with(count)
    assert not told(brain.report(1.0))  # how many, first
    assert told(brain.report(2.0)) == list(range(count))
    assert not brain.report(3.0)


def test_a_worker_tells_before_it_ends() -> None:
    brain = worker_with(2)
    assert told(brain.handle(m.Exit(NODE, "idle", if_idle=True), 1.0)) == [0, 1]


def test_who_asks_for_objects_hears_what_is_on_disk() -> None:
    history = History(NODE)
    for wanted, told in ((d.OBJECTS, [4, 5]), (d.TASKS, [])):
        (effect,) = history.describe(ask(wanted=wanted), [], 9.0, [4, 5])
        assert isinstance(effect, Send)
        assert effect.message.on_disk == told
