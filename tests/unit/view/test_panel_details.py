"""What the panel opens: jobs by cell, actors, logs; bounded, escaped, without links."""

from __future__ import annotations

import re

import pytest
from details import DRIVER, NOW, details, many
from scenes import HOSTILE, cluster

from nbray import details as d
from nbray.events import CellView, NodeCounts
from nbray.view.panel_details import KINDS, LINES, ROWS, details_html


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_jobs_by_cell_the_running_first() -> None:
    done = CellView("d", 5, (NodeCounts(1, "host1", 4, 0, 1),), NOW - 90, NOW - 80)
    cells = (d.CellRecord(DRIVER, done, "[2] fit(data)"), *details().cells)
    said = text(details_html("jobs", cluster(), details(cells=cells)))
    assert "Jobs by cell 2 cells, 1 running" in said
    assert "[3] sizes = segment(photos) running 9 s 100 2 57 40 1" in said
    assert "[2] fit(data) failed 10 s 5 0 0 4 1" in said
    assert said.index("[3]") < said.index("[2]")


def test_work_of_a_notebook_outside_its_cells_is_no_script() -> None:
    outside = d.CellRecord(DRIVER, CellView("", 1, (), NOW - 1, NOW))
    both = details(cells=(outside, *details().cells))
    assert "outside any cell" in details_html("jobs", cluster(), both)
    assert "script · pid 70" in details_html("jobs", cluster(), details(cells=(outside,)))


def test_several_processes_are_told_apart() -> None:
    view = details().cells[0].view
    cells = (d.CellRecord(DRIVER, view, "[3] a()"), d.CellRecord(DRIVER + 1, view, "[3] b()"))
    assert "[3] a() pid 70" in text(details_html("jobs", cluster(), details(cells=cells)))


def test_actors() -> None:
    actor = d.ActorRecord(
        DRIVER, 1, "Counter", "mine", "lab", 1, 1, 0, 0, 3, False, "c", DRIVER, {"GPU": 1.0}
    )
    said = text(details_html("actors", cluster(), details(actors=(actor,))))
    assert "Actors 1 of 1 actor alive" in said
    assert "Counter mine in lab alive" in said
    assert "1 GPU" in said


def test_the_last_lines_with_their_blanks() -> None:
    lines = "".join(f"    line {number}\n" for number in range(2 * LINES))
    html = details_html(
        "logs", cluster(), details(texts=(d.TextRecord(1, 7, "c", DRIVER, "f", "stdout", lines),))
    )
    assert f"the last {LINES} lines" in html
    assert html.count("    line") == LINES
    assert f"    line {2 * LINES - 1}\n" in html


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_said(kind: str) -> None:
    html = details_html(kind, cluster(), d.Details())
    assert re.search("no cell has|no actor has|nothing has|no placement group", html)
    assert "<table" not in html


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_bounded_escaped_and_lead_nowhere(kind: str) -> None:
    view = CellView(HOSTILE, 3, (), NOW - 1, NOW)
    actors = tuple(
        d.ActorRecord(DRIVER, number, HOSTILE, HOSTILE, HOSTILE, 3, 1, 0, 0, 0, False, "c",
                      DRIVER, {}, HOSTILE)
        for number in range(3 * ROWS)
    )  # fmt: skip
    found = many(
        1000,
        cells=tuple(d.CellRecord(DRIVER, view, HOSTILE) for _ in range(3 * ROWS)),
        actors=actors,
        texts=(d.TextRecord(1, 7, HOSTILE, DRIVER, HOSTILE, "stderr", HOSTILE),),
    )
    html = details_html(kind, cluster(), found)
    assert html.count("<tr>") <= ROWS + 1
    assert not re.search(r"<script|(src|href)=|https?:|url\(|@import", html)


def test_a_cell_that_was_stopped_has_cancelled_tasks_and_none_that_failed() -> None:
    counts = (NodeCounts(1, "host1", done=3, cancelled=61),)
    view = CellView("c", 64, counts, NOW - 9, NOW - 1, cancelled=61)
    said = text(details_html("jobs", cluster(), details(
        cells=(d.CellRecord(DRIVER, view, "[3] a()"),))))  # fmt: skip
    assert "cancelled 8 s" in said
    assert "0 61 cancelled" in said
    assert "failed 8 s" not in said
