"""Asking everybody, and putting the answers together."""

from __future__ import annotations

from typing import Any

import msgspec
from details import STATES

from nbray import details as d
from nbray.events import CellView
from nbray.ids import DRIVER_FLAG, HEAD, client_id, node_client
from nbray.runtime.core.client import survey as module
from nbray.runtime.core.client.survey import PAUSE, Survey
from nbray.runtime.core.effects import Send
from nbray.wire import messages as m

ME = client_id(1, DRIVER_FLAG | 9)
DRIVER = client_id(1, DRIVER_FLAG | 1)
WORKER, OTHER = client_id(1, 2), client_id(2, 2)


def record(seq: int, state: int, worker: int = WORKER, **more: Any) -> d.TaskRecord:
    return d.TaskRecord(DRIVER, seq, "f", "c", DRIVER, state, worker, **more)


def presence(node: int, *clients: int) -> m.Described:
    some = [d.ProcessRecord(client, 70, bool(client & DRIVER_FLAG)) for client in clients]
    return m.Described(node_client(node), 0.0, d.TASKS, processes=some)


def started() -> Survey:
    survey = Survey(ME)
    survey.ask([1, 2], d.TASKS, 10.0)
    survey.answered(presence(1, DRIVER, WORKER), 10.0)
    survey.answered(presence(2, OTHER), 10.0)
    return survey


def test_everybody_is_asked_and_not_too_often() -> None:
    survey = Survey(ME)
    first = survey.ask([1, 2], d.TASKS, 10.0)
    assert [e.to for e in first if isinstance(e, Send)] == [node_client(1), node_client(2)]
    limits = [e.message.limit for e in first if isinstance(e, Send)]
    assert limits == [module.LISTED, module.LISTED_AFAR]
    assert survey.ask([1, 2], d.TASKS, 10.0 + PAUSE / 2) == []
    more = survey.ask([1, 2], d.TASKS | d.ACTORS, 10.0 + PAUSE / 2)
    assert HEAD in [e.to for e in more if isinstance(e, Send)], "a new wish is not put off"


def test_a_workers_word_outweighs_the_owners() -> None:
    survey = started()
    owner = [record(1, d.SENT), record(2, d.SENT), record(3, d.QUEUED, 0)]
    survey.answered(m.Described(DRIVER, 10.0, d.TASKS, owner, 3), 10.0)
    survey.answered(
        m.Described(
            WORKER, 10.0, d.TASKS, [record(2, d.RUNNING, started=9.0)],
            ended=[record(1, d.DONE, started=8.0, ended=9.9)], ended_count=1,
        ),
        10.0,
    )  # fmt: skip
    found = survey.details(10.0, {1, 2})
    assert [(one.seq, STATES[one.state]) for one in found.tasks] == [
        (2, "running"), (3, "queued"), (1, "done"),
    ]  # fmt: skip
    assert found.unlisted == 0


def test_a_task_that_is_tried_again_is_not_hidden_by_its_first_end() -> None:
    survey = started()
    ended = [record(1, d.FAILED, started=8.0, ended=8.5)]
    survey.answered(m.Described(WORKER, 10.0, d.TASKS, ended=ended, ended_count=1), 10.0)
    survey.answered(m.Described(DRIVER, 10.0, d.TASKS, [record(1, d.QUEUED, 0)], 1), 10.0)
    states = [STATES[one.state] for one in survey.details(10.0, {1, 2}).tasks]
    assert states == ["queued", "failed"]


def test_ends_are_remembered_once_and_asked_for_from_there_on() -> None:
    survey = started()
    ended = [record(seq, d.DONE, started=1.0, ended=2.0) for seq in range(5)]
    for came in (10.0, 10.3):  # a count that lagged tells them twice
        survey.answered(m.Described(WORKER, came - 0.01, d.TASKS, ended=ended, ended_count=5), came)
    assert len(survey.details(11.0, {1, 2}).tasks) == 5
    question = survey.ask([1], d.TASKS, 12.0)[0]
    assert isinstance(question, Send)
    assert question.message.tasks_seen == {WORKER: 5}


def test_what_is_remembered_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "ENDED", 100)
    monkeypatch.setattr(module, "TEXT", 1_000)
    survey = started()
    for seq in range(500):
        one = record(seq, d.DONE, started=1.0 + seq, ended=2.0 + seq)
        survey.answered(m.Described(WORKER, 10.0, d.TASKS, ended=[one], ended_count=seq + 1), 10.0)
        text = d.TextRecord(1, 7, "c", DRIVER, "f", "stdout", "x" * 100)
        survey.answered(
            m.Described(DRIVER, 10.0, d.TEXTS, texts=[text], texts_count=seq + 1), 10.0
        )
        survey.answered(presence(1, DRIVER, WORKER, client_id(1, 100 + seq)), 10.0)
    found = survey.details(10.0, {1, 2})
    assert [one.seq for one in found.tasks] == list(range(499, 399, -1))
    assert sum(len(one.text) for one in found.texts) <= 1_000
    assert [one.client for one in found.gone] == [client_id(1, 100 + n) for n in range(399, 499)]
    sizes = {name: len(kept) for name, kept in vars(survey).items() if isinstance(kept, dict)}
    assert max(sizes.values()) <= 100, sizes


def test_other_machines_clocks_are_turned_into_ours() -> None:
    survey = started()
    ended = [record(1, d.DONE, OTHER, started=5_000.0, ended=5_001.0)]
    view = CellView("c", 1, started=4_990.0, updated=5_002.0)
    survey.answered(
        m.Described(OTHER, 5_002.0, d.TASKS, ended=ended, ended_count=1,
                    cells=[d.CellRecord(OTHER, view)]),
        12.0,
    )  # fmt: skip
    found = survey.details(12.5, {1, 2})
    assert (found.tasks[0].started, found.tasks[0].ended) == (10.0, 11.0)
    assert (found.cells[0].view.started, found.cells[0].view.updated) == (0.0, 12.0)
    assert found.cells[0].view.began == 0.0  # nothing has
    view = msgspec.structs.replace(view, began=4_995.0)
    cells = [d.CellRecord(OTHER, view)]
    survey.answered(m.Described(OTHER, 5_003.0, d.TASKS, cells=cells), 13.0)
    assert survey.details(13.0, {1, 2}).cells[0].view.began == 5.0


def test_what_was_not_asked_this_time_stays_as_it_was() -> None:
    survey = started()
    survey.answered(m.Described(DRIVER, 10.0, d.TASKS, [record(3, d.QUEUED, 0)], 1), 10.0)
    survey.answered(m.Described(DRIVER, 11.0, 0), 11.0)
    assert len(survey.details(11.0, {1, 2}).tasks) == 1


def test_the_dead_are_forgotten_but_not_what_they_did() -> None:
    survey = started()
    ended = [record(1, d.DONE, started=8.0, ended=9.0)]
    survey.answered(
        m.Described(WORKER, 10.0, d.TASKS, [record(2, d.RUNNING, started=9.5)], ended=ended,
                    ended_count=1),
        10.0,
    )  # fmt: skip
    survey.answered(presence(1, DRIVER), 11.0)
    found = survey.details(11.0, {1, 2})
    assert [one.seq for one in found.tasks] == [1]
    assert [one.client for one in found.processes] == [DRIVER, OTHER]
    assert [one.client for one in survey.details(11.0, {1}).processes] == [DRIVER]


def test_calls_that_a_concurrent_actor_runs_count_as_running() -> None:
    survey = started()
    calls = [record(seq, d.SENT) for seq in range(4)]
    survey.answered(m.Described(DRIVER, 10.0, d.TASKS, calls, 4), 10.0)
    survey.answered(m.Described(WORKER, 10.0, d.TASKS, busy=3), 10.0)
    states = [STATES[one.state] for one in survey.details(10.0, {1, 2}).tasks]
    assert states == ["running"] * 3 + ["sent"]


def test_who_cannot_answer_runs_the_first_task_sent_there() -> None:
    survey = started()
    survey.answered(m.Described(WORKER, 10.0, d.TASKS), 10.0)
    calls = [record(seq, d.SENT) for seq in range(3)]
    survey.answered(m.Described(DRIVER, 10.5, d.TASKS, calls, 3), 10.5)
    assert [one.state for one in survey.details(10.5, {1, 2}).tasks] == [d.SENT] * 3
    survey.answered(m.Described(DRIVER, 13.0, d.TASKS, calls, 3), 13.0)
    states = [one.state for one in survey.details(13.0, {1, 2}).tasks]
    assert states == [d.RUNNING, d.SENT, d.SENT]


def test_actors_come_from_the_head() -> None:
    survey = started()
    actor = d.ActorRecord(DRIVER, 1, "C", "", "", 1, 1, WORKER, 0, 0, False, "c", DRIVER, {})
    survey.answered(m.Described(HEAD, 10.0, d.ACTORS, actors=[actor]), 10.0)
    assert survey.details(10.0, {1, 2}).actors == (actor,)
    assert survey.version == 3


def test_all_that_was_printed_is_shown_once_in_order() -> None:
    survey = started()
    for count in (1, 1, 3):  # the second answer repeats the first
        texts = [d.TextRecord(1, 7, "c", DRIVER, "f", "stdout", str(n)) for n in range(count)]
        fresh = texts[-2:]
        survey.answered(m.Described(DRIVER, 10.0, d.TEXTS, texts=fresh, texts_count=count), 10.0)
    assert [one.text for one in survey.details(10.0, {1, 2}).texts] == ["0", "1", "2"]
    (question, *_) = survey.ask([1], d.TEXTS, 12.0)
    assert isinstance(question, Send)
    assert question.message.texts_seen == {DRIVER: 3}


def test_what_no_worker_speaks_for_is_asked_for_from_there_on() -> None:
    survey = started()
    lost = [record(1, d.FAILED, ended=9.0)]
    survey.answered(m.Described(DRIVER, 10.0, d.TASKS, lost=lost, lost_count=1), 10.0)
    assert [one.seq for one in survey.details(10.0, {1, 2}).tasks] == [1]
    (question,) = survey.ask([1], d.TASKS, 12.0)
    assert isinstance(question, Send)
    assert question.message.lost_seen == {DRIVER: 1}


def test_what_is_not_known_to_have_ended_is_kept() -> None:
    """A client answers before its node has told that it is there."""
    survey = started()
    early = client_id(3, 2)
    running = [record(1, d.RUNNING, early, started=9.0)]
    survey.answered(m.Described(early, 10.0, d.TASKS, running), 10.0)
    survey.details(10.0, {1, 2, 3})
    survey.answered(presence(3, early), 10.0)
    assert [one.worker for one in survey.details(10.0, {1, 2, 3}).tasks] == [early]
    survey.answered(presence(3), 10.5)
    survey.details(10.5, {1, 2, 3})
    survey.answered(presence(3, early), 11.0)
    assert not survey.details(11.0, {1, 2, 3}).tasks


def answer(sender: int, number: int, **more: Any) -> m.Described:
    return m.Described(sender, 0.0, d.TASKS, round=number, **more)


def test_whose_answer_to_a_round_is_missing() -> None:
    survey = started()
    survey.ask_anew([1, 2], d.TASKS | d.ACTORS, 10.01)
    number = survey.round
    assert survey.missing(number, [1, 2], d.TASKS) == ([1, 2], [DRIVER, WORKER, OTHER])
    some = [d.ProcessRecord(WORKER, 70, False)]
    survey.answered(answer(node_client(1), number, processes=some), 10.1)
    assert survey.missing(number, [1], d.TASKS) == ([], [WORKER])
    assert survey.missing(number, [1], d.TASKS | d.ACTORS) == ([1], [WORKER]), "the head"
    survey.answered(answer(WORKER, number - 1), 10.2)
    assert survey.missing(number, [1], d.TASKS) == ([], [WORKER]), "an answer to another round"
    survey.answered(answer(WORKER, number), 10.3)
    survey.answered(answer(HEAD, number), 10.3)
    assert survey.missing(number, [1], d.TASKS | d.ACTORS) == ([], [])


def test_nodes_tell_what_is_on_disk_and_clients_what_they_use() -> None:
    survey = started()
    on_two = d.ObjectRecord(DRIVER, 1, 2, 100, [1, 2], 1, 0, places=[5, 7])
    other = d.ObjectRecord(DRIVER, 2, 2, 100, [1], 1, 0, places=[6])
    survey.answered(m.Described(DRIVER, 10.0, d.OBJECTS, objects=[on_two, other]), 10.0)
    survey.answered(m.Described(OTHER, 10.0, d.OBJECTS, in_use=[(2, 7)]), 10.0)
    for node, on_disk in ((1, [5, 6]), (2, [6])):
        told = msgspec.structs.replace(
            presence(node, *((DRIVER, WORKER) if node == 1 else (OTHER,))), wanted=d.OBJECTS,
            on_disk=on_disk,
        )  # fmt: skip
        survey.answered(told, 10.0)
    found = survey.details(10.0, {1, 2}).objects
    assert [(one.disk, one.pins) for one in found] == [([1], 1), ([1], 0)]
