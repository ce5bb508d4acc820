"""What the receipt of a cell says."""

from __future__ import annotations

import msgspec
import pytest
from scenes import HOSTILE, RUNNING

from nbray.events import CellView, NodeCounts
from nbray.view.receipt import Receipt, receipt, receipt_html, receipt_text

THREE = CellView(
    "c",
    1_000,
    (
        NodeCounts(1, "laptop", 411, work=16.0),
        NodeCounts(2, "lab-gpu", 585, work=24.0),
        NodeCounts(3, "10.0.4.17", 4, work=1.0),
    ),
    100.0,
    105.4,
    measured=1_000,
    cpu=39.0,
    longest=0.09,
    longest_node="lab-gpu",
    longest_end=103.0,
    workers=8,
)


def of(view: CellView, **changes: object) -> Receipt:
    made = receipt(msgspec.structs.replace(view, **changes))
    assert made is not None
    return made


def one_node(tasks: int, work: float, **changes: object) -> CellView:
    view = CellView(
        "c", tasks, (NodeCounts(1, "n", tasks, work=work),), 0.0, 5.0, measured=tasks, workers=4,
        longest=2 * work / tasks, longest_end=4.0,
    )  # fmt: skip
    return msgspec.structs.replace(view, **changes)


def test_what_passed_before_anything_could_run_is_no_overhead() -> None:
    what = of(THREE, started=70.0, began=100.0)
    assert what.summary == (
        "1,000 tasks on 3 nodes in 5.4 s after 30 s of waiting · 39 s of CPU · 7.6× serial · "
        "5 % overhead"
    )
    assert of(THREE, began=100.6).summary == of(THREE).summary, "a moment is not worth a word"
    assert of(THREE, began=0.0).summary == of(THREE).summary


def test_one_line_with_tasks_nodes_times_gain_and_cost() -> None:
    what = of(THREE)
    assert what.summary == (
        "1,000 tasks on 3 nodes in 5.4 s · 39 s of CPU · 7.6× serial · 5 % overhead"
    )
    assert (what.hint, what.advice, what.failed) == ("", "", "")
    assert what.notes == (
        "8 workers ran for 41 s in all: 41 ms for each task, 90 ms for the longest on lab-gpu.",
    )
    assert [(row.name, row.tasks, row.work) for row in what.rows] == [
        ("lab-gpu", "585 tasks", "24 s"), ("laptop", "411 tasks", "16 s"),
        ("10.0.4.17", "4 tasks", "1 s"),
    ]  # fmt: skip
    assert receipt_text(what) == f"Receipt: {what.summary}"


@pytest.mark.parametrize(
    "view",
    [
        RUNNING,
        CellView("c"),
        one_node(1, 4.0),
        one_node(50, 0.1, updated=0.4),
        msgspec.structs.replace(THREE, measured=0),
    ],
    ids=["running", "nothing", "one task", "short", "not measured"],
)
def test_no_receipt_for(view: CellView) -> None:
    assert receipt(view) is None


def test_short_work_has_one_if_asked() -> None:
    assert receipt(one_node(50, 0.1, updated=0.4), asked=True) is not None


def test_tasks_that_are_too_small_are_to_be_sent_in_batches() -> None:
    what = of(one_node(20_000, 6.0))
    assert what.hint == "tasks too small: batch by 100"
    assert what.advice == (
        "A task takes 300 µs, about what sending one costs. Send 100 at a time: "
        "nbray.util.map does it for you."
    )
    assert receipt_text(what).endswith(what.advice)


def test_small_tasks_that_kept_the_workers_busy_need_no_advice() -> None:
    assert of(one_node(20_000, 19.0)).hint == ""


def test_items_of_a_map_need_no_advice() -> None:
    what = of(one_node(20_000, 6.0, items=20_000))
    assert what.hint == ""
    assert what.notes == (
        "4 workers ran for 6 s in all, 300 µs for each item; items travelled many at a time.",
    )


def test_a_straggler_is_named_with_its_node() -> None:
    what = of(THREE, longest=3.5, longest_end=105.3)
    assert what.hint == "one task of 3.5 s held the rest back"
    assert what.advice == (
        "One task took 3.5 s on lab-gpu, 85 times the average, and the end waited for it: "
        "start it first, or split it."
    )
    assert "overhead" not in what.summary


def test_a_long_task_that_ended_in_the_middle_held_nothing_back() -> None:
    assert of(THREE, longest=3.5, longest_end=103.0).hint == ""


def test_what_was_not_measured_counts_as_the_others_did() -> None:
    assert "7.6× serial" in of(
        THREE, measured=500, nodes=(NodeCounts(1, "n", 1_000, work=20.5),)
    ).summary  # fmt: skip


def test_failures_are_said() -> None:
    what = of(THREE, submitted=1_010, cancelled=7, lost=3)
    assert what.failed == "3 failed · 7 cancelled"
    assert '<span class="nbray-red">3 failed · 7 cancelled</span>' in receipt_html(what)
    assert receipt_text(what).endswith("3 failed · 7 cancelled")


def test_tasks_that_waited_for_others_have_no_gain() -> None:
    what = of(THREE, nested=40)
    assert what.summary == "1,000 tasks on 3 nodes in 5.4 s · 39 s of CPU"
    assert what.notes == ("40 of these were launched by other tasks.",)


def test_the_html_is_one_folded_line_without_scripts() -> None:
    html = receipt_html(of(THREE, longest_node=HOSTILE))
    body = html.split("</style>")[1]
    assert body.count("<details>") == 1
    assert "open" not in body.split("<summary>")[0]
    assert "<b>Receipt</b> · 1,000 tasks" in body
    assert "<script" not in html
    assert "\x1b" not in html


@pytest.mark.parametrize(
    ("work", "wall", "cpus", "gain"),
    [(17.5, 5.0, 2, "2"), (9.0, 5.0, 2, "1.8"), (41.0, 5.0, 4, "4"), (17.5, 5.0, 0, "3.5")],
)
def test_nobody_gains_more_than_there_are_cpus(
    work: float, wall: float, cpus: int, gain: str
) -> None:
    what = of(one_node(1_000, work, updated=wall, cpus=float(cpus), longest=0.01, cpu=9.0))
    assert f"· {gain}× serial" in what.summary


@pytest.mark.parametrize(
    ("cpu", "held", "gain"), [(4.9, 22.0, "0.6"), (10.0, 15.0, "1.1"), (16.0, 10.0, "1.4")]
)
def test_others_on_the_cpus_are_said_and_gained_from_by_nobody(
    cpu: float, held: float, gain: str
) -> None:
    view = one_node(100, 32.0, updated=16.0, cpus=2.0, cpu=cpu, held=held, longest=0.5)
    what = of(view, workers=2)
    assert what.hint == "held back by other work on the CPUs"
    assert f"{gain}× serial" in what.summary
    assert "more tasks ran at a time than the machine has cores" in what.advice


@pytest.mark.parametrize(("cpu", "held"), [(31.0, 0.9), (31.9, 8.0), (2.0, 0.0), (20.0, 3.0)])
def test_a_little_waiting_is_not_worth_a_word(cpu: float, held: float) -> None:
    view = one_node(100, 32.0, updated=16.0, cpus=2.0, cpu=cpu, held=held, longest=0.5)
    assert of(view, workers=2).hint == ""


@pytest.mark.parametrize(("moved", "words"), [(1.3, "1.3 s"), (6.0, "6 s"), (100.0, "2 min")])
def test_what_moved_data_is_told_from_what_worked(moved: float, words: str) -> None:
    what = of(one_node(20, 4.0, updated=9.0, cpus=2.0, moved=moved, longest=0.4))
    assert what.hint == f"{words} of moving data"
    assert "not in the times of the tasks" in what.advice
    assert "split it" not in what.advice


def test_a_little_moving_is_not_worth_a_word() -> None:
    assert of(one_node(20, 4.0, moved=0.3)).hint == ""
