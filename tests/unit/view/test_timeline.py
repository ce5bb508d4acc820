"""The timeline: rows, bars, bounds, axis, and the Chrome trace of the same."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

from scenes import HOSTILE

from nbray.view.timeline import (
    LABEL,
    MOST_BARS,
    MOST_ROWS,
    WIDTH,
    Bar,
    chrome_trace,
    timeline,
    timeline_html,
    timeline_text,
)


def bar(
    start: float, end: float, pid: int = 7, function: str = "f", failed: bool = False
) -> Bar:
    return Bar("laptop", pid, function, "[3] f()", start, end, failed)


def test_a_row_for_each_worker_and_a_bar_for_each_task() -> None:
    what = timeline([bar(0, 1), bar(1, 2), bar(0.5, 2, pid=8)])
    assert [lane.label for lane in what.lanes] == ["laptop · pid 7", "laptop · pid 8"]
    assert [len(lane.rects) for lane in what.lanes] == [2, 1]
    first = what.lanes[0].rects[0]
    assert first.x == LABEL
    assert first.said == "f, 1 s, [3] f()"
    assert what.lanes[1].rects[0].x + what.lanes[1].rects[0].width <= WIDTH


def test_as_a_sentence_for_who_cannot_see_it() -> None:
    html = timeline_html([bar(0, 1), bar(0.5, 2, pid=8)])
    assert 'aria-label="Timeline: 2 tasks on 2 workers in 2 s"' in html


def test_100_000_tasks_are_a_bounded_picture() -> None:
    bars = [
        bar(seq * 0.001, seq * 0.001 + 0.0008, seq % 64, f"f{seq % 3}") for seq in range(100_000)
    ]
    what = timeline(bars)
    drawn = sum(len(lane.rects) for lane in what.lanes)
    assert len(what.lanes) == MOST_ROWS
    assert drawn <= MOST_BARS * 1.2
    assert len(timeline_html(bars)) < 800_000


def test_neighbours_too_thin_to_tell_apart_say_how_many_they_are() -> None:
    bars = [bar(seq * 1e-3, seq * 1e-3 + 9e-4) for seq in range(5_000)]
    (lane,) = timeline(bars).lanes
    counts = [int(m[1].replace(",", "")) for r in lane.rects
              if (m := re.match(r"([\d,]+) tasks", r.said))]  # fmt: skip
    assert sum(counts) + sum("tasks" not in rect.said for rect in lane.rects) == 5_000


def test_one_failure_among_thousands_is_red() -> None:
    bars = [bar(seq * 1e-3, seq * 1e-3 + 9e-4, failed=seq == 2_500) for seq in range(5_000)]
    what = timeline(bars)
    assert any("failed" in rect.said for rect in what.lanes[0].rects)
    assert ("failed", "1 task") in [entry[1:] for entry in what.legend]


def test_workers_beyond_the_most_are_counted() -> None:
    assert timeline([bar(0, 1, pid) for pid in range(80)]).note == "and 16 more workers"


def test_a_window_cuts_what_reaches_out_of_it() -> None:
    what = timeline([bar(0, 10), bar(1, 2), bar(8, 9)], start=5, end=10)
    assert what.lanes[0].rects[0].x == LABEL
    assert sum("1 s" in rect.said for rect in what.lanes[0].rects) == 1


def test_the_axis_has_few_round_ticks() -> None:
    for span in (0.003, 0.7, 8, 59, 600, 90_000):
        ticks = timeline([bar(0, span)]).ticks
        assert 2 <= len(ticks) <= 9
        assert ticks[0].label in {"0 s", "0 min", "0 h"}
    assert [tick.label for tick in timeline([bar(0, 4)]).ticks] == [
        "0 s", "500 ms", "1.0 s", "1.5 s", "2.0 s", "2.5 s", "3.0 s", "3.5 s", "4.0 s",
    ]  # fmt: skip


def test_minutes_are_whole_and_hosts_in_the_order_of_their_numbers() -> None:
    bars = [Bar(f"host{n}", n, "f", "", 0, 600) for n in (10, 2, 1)]
    what = timeline(bars)
    assert [lane.label for lane in what.lanes] == [f"host{n} · pid {n}" for n in (1, 2, 10)]
    assert [tick.label for tick in what.ticks] == [
        "0 min", "2 min", "4 min", "6 min", "8 min", "10 min",
    ]  # fmt: skip


def test_svg_is_well_formed_and_escaped() -> None:
    html = timeline_html([bar(0, 1, function=HOSTILE)])
    assert "<script>" not in html
    svg = html[html.index("<svg") : html.index("</svg>") + 6]
    ET.fromstring(svg)


def test_nothing_has_run() -> None:
    assert "Nothing has run yet" in timeline_html([])
    assert timeline_text([]) == "no tasks"


def test_as_text() -> None:
    text = timeline_text([bar(0, 1), bar(1, 2, failed=True), bar(0, 0.5, pid=8)], width=20)
    first, one, two = text.splitlines()
    assert first == "3 tasks on 2 workers in 2 s"
    assert one.startswith("laptop · pid 7 |█")
    assert "╳" in one
    assert two.count("█") < one.count("█")


def test_chrome_trace() -> None:
    events = chrome_trace([bar(5, 6), bar(5.5, 7, pid=8, failed=True)])
    assert json.loads(json.dumps(events))[1:] == [
        {"ph": "X", "name": "f", "cat": "task", "pid": 1, "tid": 7, "ts": 0,
         "dur": 1_000_000, "args": {"cell": "[3] f()"}},
        {"ph": "X", "name": "f", "cat": "failed", "pid": 1, "tid": 8, "ts": 500_000,
         "dur": 1_500_000, "args": {"cell": "[3] f()"}},
    ]  # fmt: skip


def test_no_two_functions_share_a_colour_and_all_are_in_the_legend() -> None:
    took = {f"f{number}": 20 - number for number in range(12)}
    what = timeline([Bar("laptop", 7, name, "", 0.0, float(s)) for name, s in took.items()])
    *own, others = what.legend
    assert [name for _, name, _ in own] == list(took)[:7]
    assert len({colour for colour, _, _ in what.legend}) == 8
    assert others[1:] == ("5 other functions", "5 tasks, 55 s")
    assert "failed" not in {name for _, name, _ in what.legend}


def test_a_colour_stays_when_another_function_becomes_the_longest() -> None:
    def colours(**took: float) -> dict[str, str]:
        bars = [Bar("laptop", 7, name, "", 0.0, seconds) for name, seconds in took.items()]
        return {name: colour for colour, name, _ in timeline(bars).legend}

    assert colours(boot=1.0, slow=2.0) == colours(boot=3.0, slow=2.0)
