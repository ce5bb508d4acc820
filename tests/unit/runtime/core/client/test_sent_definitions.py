"""What workers know from a client, and when they are to let go of it."""

from __future__ import annotations

import pytest

from nbray.ids import client_id
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.sent_definitions import LOOK_SECONDS, SentDefinitions
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.effects import Send
from nbray.runtime.core.worker.brain import WorkerBrain
from nbray.wire import messages as m

ME, ONE, TWO = client_id(1, 1), client_id(1, 2), client_id(2, 2)
F, G = b"f" * 16, b"g" * 16


def work(number: int, function: bytes = F, modules: bytes = b"m" * 16) -> Work:
    spec = m.Spec(number, function, "f", 1, b"", "", ME, 0, {})
    made = Work(spec, 3, None, Tally("", 0.0), b"pickled " + function)
    made.modules = (modules, b"bundle")
    return made


def undefined(
    known: SentDefinitions, now: float, *, tasks: tuple[Task, ...] = (), defined: bytes = b""
) -> dict[int, list[bytes]]:
    effects = known.settle(now, lambda function: function == defined, lambda: tasks)
    sent: dict[int, list[bytes]] = {}
    for effect in effects:
        assert isinstance(effect, Send)
        assert isinstance(effect.message, m.Undefine)
        sent[effect.to] = effect.message.functions
    return sent


def test_what_a_worker_knows_is_sent_once() -> None:
    known = SentDefinitions(ME)
    assert known.news(ONE, work(1)) == (
        [work(1).spec], {F: b"pickled " + F, b"m" * 16: b"bundle"}
    )  # fmt: skip
    assert known.news(ONE, work(1)) == ([], {})
    assert known.news(ONE, work(2)) == ([work(2).spec], {})
    assert known.news(ONE, work(3, G)) == ([work(3, G).spec], {G: b"pickled " + G})
    assert F in known.news(TWO, work(1))[1]


def test_workers_let_go_of_what_nobody_can_call_and_nothing_runs() -> None:
    known = SentDefinitions(ME)
    for worker in (ONE, TWO):
        known.news(worker, work(1))
    known.news(ONE, work(2, G))
    known.ended.extend([F, G])
    assert undefined(known, 1.0) == {ONE: [F, G], TWO: [F]}
    assert not known.ended
    assert F in known.news(ONE, work(1))[1]  # needed again, it is sent again


@pytest.mark.parametrize("still", ["a task runs it", "it is defined again"])
def test_what_is_still_needed_stays(still: str) -> None:
    known = SentDefinitions(ME)
    known.news(ONE, work(1))
    known.ended.append(F)
    if still == "a task runs it":
        assert undefined(known, 1.0, tasks=(Task(1, work(1), b"", 1),)) == {}
        assert undefined(known, 1.0 + LOOK_SECONDS / 2) == {}  # one look is enough for a while
        assert undefined(known, 1.1 + LOOK_SECONDS) == {ONE: [F]}
    else:
        assert undefined(known, 1.0, defined=F) == {}
        assert not known.ended  # it ends once more when that definition goes


@pytest.mark.parametrize("still", ["a task runs it", "it is defined again"])
def test_one_that_is_still_needed_holds_up_no_other(still: str) -> None:
    known = SentDefinitions(ME)
    known.news(ONE, work(1))
    known.news(ONE, work(2, G))
    known.ended.extend([F, G])
    runs = still == "a task runs it"
    tasks = (Task(1, work(1), b"", 1),) if runs else ()
    assert undefined(known, 1.0, tasks=tasks, defined=b"" if runs else F) == {ONE: [G]}


def test_the_dead_are_forgotten() -> None:
    known = SentDefinitions(ME)
    for worker in (ONE, TWO):
        known.news(worker, work(1))
    known.died(ONE)
    known.node_died(2)
    known.ended.append(F)
    assert undefined(known, 1.0) == {}


def tasks_of(spec: m.Spec, seq: int, **functions: bytes) -> m.Tasks:
    return m.Tasks(ME, spec.id, 1, [seq], [b""], {}, [spec], {F: b"f"} if functions else {})


def test_a_worker_bounces_what_it_does_not_have_and_says_so() -> None:
    brain = WorkerBrain(ClientBrain(ONE, 1, lambda *_: b""))
    spec = work(1).spec
    assert brain.handle(tasks_of(spec, 7), 0.0) == [Send(ME, m.Bounced(ONE, [7], F))]
    assert brain.handle(tasks_of(spec, 8, f=b""), 0.0) == []
    known = SentDefinitions(ME)
    known.news(ONE, work(1))
    known.lacks(ONE, F)
    assert known.news(ONE, work(1)) == ([], {F: b"pickled " + F})


def test_a_worker_keeps_what_is_queued_until_it_has_run() -> None:
    brain = WorkerBrain(ClientBrain(ONE, 1, lambda *_: b""))
    spec = work(1).spec
    brain.handle(tasks_of(spec, 1, f=b""), 0.0)
    brain.handle(m.Undefine(ME, [F]), 0.0)
    assert brain.let_go() == []
    brain.queue.clear()
    assert brain.let_go() == [F]
    assert F not in brain.functions


def test_what_is_sent_again_is_kept() -> None:
    brain = WorkerBrain(ClientBrain(ONE, 1, lambda *_: b""))
    spec = work(1).spec
    brain.handle(tasks_of(spec, 1, f=b""), 0.0)
    brain.handle(m.Undefine(ME, [F]), 0.0)
    brain.handle(tasks_of(spec, 2, f=b""), 0.0)
    brain.queue.clear()
    assert brain.let_go() == []
