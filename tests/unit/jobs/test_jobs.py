"""Following a job: what is shown, how long it is waited for. (The rest: tests/contract.)"""

from __future__ import annotations

import sys

import pytest

from nbray import jobs
from nbray.details import JobRecord, JobState
from nbray.events import CellView, Display, NodeCounts, Output
from nbray.jobs.keeper import News


def record(state: str, done: int = 0) -> JobRecord:
    view = CellView("job train", 3, (NodeCounts(1, "lab", done=done),))
    return JobRecord("train", "fit()", JobState(state), 100.0, 5.0, "lab", view, 7.0)


def text(line: str, stream: str = "stdout") -> Output:
    return Output("job train", 1, "lab", 9, "train", stream, line)


class FakeJob:
    name = "train"

    def __init__(self, *news: News) -> None:
        self.left = list(news)
        self.asked: list[int] = []

    def news(self, position: int = 0) -> News:
        self.asked.append(position)
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def test_it_is_followed_from_where_it_was_read_to(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Display("job train", 1, "lab", 9, "train", {"text/plain": "<Figure>"})
    job = FakeJob(
        News(record("running"), [text("a\n")], 10, True),
        News(record("running"), [shown, text("oh\n", "stderr")], 20, False),
        News(record("done", 3), [], 20, False),
    )
    assert jobs._follow(job, jobs.Plain(), None).state == "done"  # type: ignore[arg-type]
    assert job.asked == [0, 10, 20]
    out, err = capsys.readouterr()
    assert (out, err) == ("a\n<Figure>\n", "oh\n")


def test_a_program_without_streams_follows_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    job = FakeJob(News(record("done", 3), [text("a\n"), text("oh\n", "stderr")], 20, False))
    assert jobs._follow(job, jobs.Plain(), None).state == "done"  # type: ignore[arg-type]


def test_it_is_not_waited_for_beyond_the_time() -> None:
    job = FakeJob(News(record("running", 1), [], 0, False))
    assert jobs._follow(job, jobs.Plain(), 0.0).state == "running"  # type: ignore[arg-type]
    assert job.asked == [0]
    assert jobs._runs(record("running", 1)) == (
        "the job train still runs, 5 s after its start: 1 of 3 tasks have ended"
    )
    assert "waits for a free worker" in jobs._runs(record("waiting"))


def test_a_script_shows_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert isinstance(jobs._show(), jobs.Plain)
