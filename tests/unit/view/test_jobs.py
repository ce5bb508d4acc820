"""The table of named jobs."""

from __future__ import annotations

from scenes import HOSTILE

from nbray.details import JobRecord, JobState
from nbray.events import CellView, NodeCounts
from nbray.view.jobs import jobs_html, jobs_text


def job(name: str = "train", state: str = "running", fetched: bool = False, failed: int = 0,
        line: str = "model.fit(data)") -> JobRecord:  # fmt: skip
    view = CellView("job", 10, (NodeCounts(1, "lab", done=4, failed=failed),))
    return JobRecord(name, line, JobState(state), 1_000.0, 90.0, "lab", view, 5.0, fetched)


def test_a_row_says_what_it_is_and_how_far() -> None:
    head, row = jobs_text([job(failed=2)], 1_300.0).splitlines()
    assert head.split()[:3] == ["name", "state", "first"]
    for part in ("train", "running", "model.fit(data)", "5 min ago", "4 of 10, 2 failed", "lab"):
        assert part in row
        assert part in jobs_html([job(failed=2)], 1_300.0)


def test_what_was_not_fetched_says_so() -> None:
    assert "done, not fetched" in jobs_text([job(state="done")], 0.0)
    assert "failed, fetched" in jobs_text([job(state="failed", fetched=True)], 0.0)
    assert "stopped  " in jobs_text([job(state="stopped")], 0.0)
    assert "nbray-dot-bad" in jobs_html([job(state="failed")], 0.0)
    lost = jobs_text([job(state="lost")], 0.0)
    assert "lost  " in lost
    assert "of 10" not in lost


def test_none_says_how_to_make_one() -> None:
    assert "%%remote --bg --name train" in jobs_text([], 0.0)
    assert "%%remote --bg --name train" in jobs_html([], 0.0)


def test_nothing_gets_out_of_its_cell() -> None:
    html = jobs_html([job(line=HOSTILE)], 0.0)
    assert HOSTILE not in html
