"""The bars: what they say, and that finished work is full or red with its count."""

from __future__ import annotations

import re

import msgspec
import pytest
from scenes import ALL_FAILED, DONE, EMPTY, GB, HOSTILE, RUNNING, SOME_FAILED

from nbray.events import CellView, Figures, NodeCounts, NodeView, Snapshot
from nbray.view.progress import ROWS, moving, progress, progress_html, progress_text


def filled(row: object) -> float:
    return sum(segment.percent for segment in row.segments)  # type: ignore[attr-defined]


def test_running_work() -> None:
    what = progress(RUNNING, 106.0, 187.0)
    assert what.total.label == "412 of 1,000"
    assert what.total.said == "1 failed · 187/s · 4 s left"
    assert [row.label for row in what.rows] == ["laptop", "lab-gpu", "10.0.4.17"]
    assert what.rows[0].said == "171 done · 8 running"
    assert what.rows[2].said == "3 done · 1 failed"
    assert [reason.head for reason in what.reasons] == ["563 queued", "12 waiting:"]
    assert 40 < filled(what.total) < 50


@pytest.mark.parametrize("cell", [DONE, SOME_FAILED, ALL_FAILED])
def test_every_final_bar_is_full(cell: CellView) -> None:
    what = progress(cell, 200.0, 0.0)
    assert what.finished
    for row in (what.total, *what.rows):
        assert filled(row) == pytest.approx(100, abs=0.1)
        assert row.now == row.top
    text = progress_text(cell, 200.0, 0.0)
    assert "·" * 3 not in text
    assert "▒" not in text


def test_final_failures_are_red_with_their_count() -> None:
    html = progress_html(SOME_FAILED, 200.0, 0.0)
    assert '<span class="nbray-red">4 failed</span>' in html
    assert html.count('class="nbray-bad"') == 2
    assert "996 of 1,000" in html
    assert progress(DONE, 0, 0).total.said == "5.4 s · 185/s"


def test_all_failed() -> None:
    what = progress(ALL_FAILED, 200.0, 0.0)
    assert [segment.kind for segment in what.total.segments] == ["bad"]
    assert what.total.said == "12 failed · 8 cancelled · 5.4 s"


def test_long_figures_get_wider_columns() -> None:
    big = CellView("c", 10**9, (NodeCounts(1, "a", 10**8, 10**3, 10**7),), 0.0, 9.0)
    assert progress(big, 9.0, 1.0).wide
    assert "nbray-wide" in progress_html(big, 9.0, 1.0).split("</style>")[1]
    assert not progress(RUNNING, 106.0, 187.0).wide


def test_one_failure_in_many_is_seen() -> None:
    cell = CellView("c", 100_000, (NodeCounts(1, "a", 99_999, 0, 1),), 0.0, 1.0)
    kinds = {segment.kind: segment.percent for segment in progress(cell, 1, 1).total.segments}
    assert kinds["bad"] == 1.5
    assert sum(kinds.values()) == pytest.approx(100)


def test_no_tasks() -> None:
    what = progress(EMPTY, 1.0, 0.0)
    assert what.total.said == "no tasks yet"
    assert what.rows == ()
    assert "0 of 0" in progress_text(EMPTY, 1.0, 0.0)


def test_only_something_to_wait_for() -> None:
    cell = msgspec.structs.replace(EMPTY, waiting=("3 GB moving: from a to b",))
    assert progress(cell, 1.0, 0.0).bars == ()
    assert progress_text(cell, 1.0, 0.0) == "3 GB moving: from a to b"
    assert "<em>3 GB moving:</em> from a to b" in progress_html(cell, 1.0, 0.0)


def test_an_unknown_rate_gives_no_forecast() -> None:
    assert progress(RUNNING, 106.0, 0.0).total.said == "1 failed · 6 s so far"


def test_nodes_are_measured_alike_while_work_goes_on() -> None:
    first, second, _ = progress(RUNNING, 106.0, 1.0).rows
    assert first.top == second.top
    assert filled(first) < filled(second)


def test_two_hundred_nodes_share_a_row() -> None:
    nodes = tuple(NodeCounts(n, f"n{n}", done=1, running=1) for n in range(200))
    cell = CellView("c", 1_000, nodes, 0.0, 1.0)
    what = progress(cell, 1.0, 1.0)
    assert len(what.rows) == ROWS + 1
    assert what.rows[-1].label == "176 more"
    assert what.rows[-1].said == "176 done · 176 running"
    lines = progress_text(cell, 1.0, 1.0).splitlines()
    assert len(lines) == 14
    assert "and 14 more rows" in lines


def test_hostile_names_are_escaped() -> None:
    cell = msgspec.structs.replace(RUNNING, nodes=(NodeCounts(1, HOSTILE, 1),), waiting=(HOSTILE,))
    html = progress_html(cell, 106.0, 1.0)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in progress_text(cell, 106.0, 1.0)


def test_html_stands_alone() -> None:
    html = progress_html(RUNNING, 106.0, 187.0)
    assert "<script" not in html
    assert not re.search(r"(src|href)=|https?:|url\(|@import", html)
    assert html.count('role="progressbar"') == 4
    assert 'aria-valuenow="413"' in html
    assert 'aria-label="laptop"' in html
    assert "prefers-color-scheme:dark" in html
    assert '[data-jp-theme-light="false"]' in html


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_text_fits_its_width(width: int) -> None:
    text = progress_text(RUNNING, 106.0, 187.0, width=width)
    assert all(len(line) <= width for line in text.splitlines())


def test_the_same_arguments_give_the_same_text() -> None:
    assert progress_html(RUNNING, 106.0, 187.0) == progress_html(RUNNING, 106.0, 187.0)


def test_cancelled_work_is_said_where_it_was() -> None:
    nodes = (NodeCounts(1, "laptop", done=1, cancelled=2), NodeCounts(2, "lab", cancelled=1))
    cell = CellView("a", submitted=6, nodes=nodes, cancelled=4, lost=1)
    assert cell.finished
    html = progress_html(cell, 1.0, 0.0)
    assert "1 failed · 4 cancelled" in html
    assert "2 cancelled" in html


def test_what_moves_between_nodes_is_said() -> None:
    lab = NodeView(2, "2", "lab", "", figures=Figures(moving=int(1.2 * GB), moving_from=1))
    snapshot = Snapshot((NodeView(1, "1", "laptop", ""), lab))
    assert moving(snapshot) == ("1.2 GB moving: from laptop to lab",)
    twins = Snapshot((NodeView(1, "1", "lab", ""), lab))
    assert moving(twins) == ("1.2 GB moving: from lab · 1 to lab · 2",)
    small = NodeView(2, "2", "lab", "", figures=Figures(moving=1_000, moving_from=1))
    assert moving(Snapshot((small,))) == ()


@pytest.mark.parametrize(
    ("done", "running", "oldest", "said"),
    [
        (59, 1, 6.2, "longest running: 6 s"),
        (58, 2, 91.0, "longest running: 2 min"),
        (59, 1, 0.4, "10/s · 1 s left"),  # no longer than others
        (50, 2, 6.0, "10/s · 1 s left"),  # others wait: they will take their time
    ],
)
def test_a_straggler_is_not_judged_by_the_others(
    done: int, running: int, oldest: float, said: str
) -> None:
    nodes = (NodeCounts(1, "n", done, running, work=done * 0.2),)
    cell = CellView("c", 60, nodes, 0.0, 8.0, measured=done, oldest=oldest)
    assert progress(cell, 8.0, 10.0).total.said == said


def test_the_first_of_all_is_no_straggler() -> None:
    cell = CellView("c", 1, (NodeCounts(1, "n", 0, 1),), 0.0, 8.0, oldest=8.0)
    assert progress(cell, 8.0, 0.0).total.said == "8 s so far"


def test_a_row_for_each_kind_of_work_of_others():
    rows = (
        NodeCounts(0, "train_00001", done=1),
        NodeCounts(0, "train_00002", running=1),
        NodeCounts(0, "train_00003"),
    )
    view = CellView("c", submitted=3, nodes=(NodeCounts(1, "ada", done=1, running=1),), rows=rows)
    text = [line.split("  ") for line in progress_text(view, 1.0, 0.0).splitlines()]
    assert [(line[0].strip(), line[-1].strip()) for line in text[:5]] == [
        ("1 of 3", "1 s so far"),
        ("ada", "1 done · 1 running"),
        ("train_00002", "0 done · 1 running"),
        ("train_00001", "1 done"),
        ("train_00003", "waiting"),
    ]
    many = tuple(NodeCounts(0, f"t{number}", done=1) for number in range(30))
    said = progress(CellView("c", submitted=30, rows=many), 1.0, 0.0)
    assert [row.label for row in said.rows][-1] == "6 more"
