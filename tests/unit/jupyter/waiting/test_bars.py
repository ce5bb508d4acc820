"""Whose work a cell's bars count, and how fast it goes."""

from __future__ import annotations

from fake_kernel import Kernel, Shell
from scenes import DONE, RUNNING

from nbray.events import CellView, Figures, NodeCounts, NodeView, Snapshot
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.waiting import bars as module
from nbray.jupyter.waiting.bars import Bars, Meter, NotebookBars, together


class Nowhere:
    eager = False

    def draw(self, view: CellView, now: float, rate: float) -> None: ...

    keep = end = draw

    def erase(self) -> None: ...


def view(cell: str, done: int, of: int, node: int = 1) -> CellView:
    return CellView(cell, of, (NodeCounts(node, f"n{node}", done),), 10.0, 11.0)


def shot(*views: CellView) -> Snapshot:
    return Snapshot(cells={view.cell: view for view in views})


def test_own_work_comes_first() -> None:
    bars = Bars("a", Nowhere())
    assert bars.look(shot(view("a", 1, 5), view("b", 1, 9)), True) == view("a", 1, 5)


def test_a_wait_for_other_cells_work_counts_theirs() -> None:
    bars = Bars("b", Nowhere())
    seen = bars.look(shot(view("a", 1, 5)), True)
    assert seen is not None
    assert (seen.done, seen.submitted) == (1, 5)
    seen = bars.look(shot(view("a", 5, 5)), False)
    assert seen is not None
    assert seen.finished


def test_nothing_to_show() -> None:
    assert Bars("b", Nowhere()).look(shot(), True) is None
    assert Bars("b", Nowhere()).look(None, True) is None


def test_work_whose_engine_ended_is_cancelled() -> None:
    bars = Bars("a", Nowhere())
    bars.look(shot(view("a", 1, 5)), True)
    seen = bars.look(None, True)
    assert seen is not None
    assert seen.finished
    assert seen.cancelled == 4
    assert seen.running == 0
    assert seen.waiting == ()


def test_together_adds_nodes_up() -> None:
    sum_ = together("c", [view("a", 1, 5), view("b", 2, 6), view("d", 3, 7, node=2)])
    assert [(node.name, node.done) for node in sum_.nodes] == [("n1", 3), ("n2", 3)]
    assert sum_.submitted == 18


def test_rate_over_the_window() -> None:
    meter = Meter()
    meter.rate(view("a", 0, 1_000), 10.0)
    assert meter.rate(view("a", 100, 1_000), 12.0) == 50.0


def test_rate_while_ends_are_rare() -> None:
    meter = Meter()
    assert meter.rate(view("a", 0, 10), 20.0) == 0.0
    assert meter.rate(view("a", 1, 10), 20.0) == 0.1
    assert meter.rate(view("a", 1, 10), 10.0) == 0.0


def test_old_readings_are_forgotten() -> None:
    meter = Meter()
    for second in range(100):
        rate = meter.rate(view("a", second * 10, 10_000), 10.0 + second)
    assert rate == 10.0
    assert len(meter._seen) <= module.WINDOW + 2


def test_a_notebooks_bars_end_as_html_and_text_only() -> None:
    kernel, own = Kernel(), Cells()
    own.attach(Shell(kernel))
    bars = NotebookBars(own, "c")
    bars.draw(RUNNING, 106.0, 1.0)
    bars.end(DONE, 107.0, 1.0)
    first, last = kernel.sent
    assert first["kind"] == "display_data"
    assert "412 of 1,000" in first["content"]["data"]["text/plain"]
    assert last["kind"] == "update_display_data"
    assert set(last["content"]["data"]) == {"text/html", "text/plain"}
    assert "1,000 of 1,000" in last["content"]["data"]["text/html"]
    assert first["content"]["transient"] == last["content"]["transient"]


def test_bars_of_a_cell_that_clears_its_output_away_come_anew_while_its_work_goes_on() -> None:
    kernel, own = Kernel(), Cells()
    shell = Shell(kernel)
    own.attach(shell)
    bars = NotebookBars(own, "c")
    bars.draw(RUNNING, 106.0, 1.0)
    shell.display_pub.clear_output("another")
    bars.draw(RUNNING, 106.1, 1.0)
    assert [one["kind"] for one in kernel.sent] == ["display_data"]  # a widget moves
    shell.display_pub.clear_output("c")
    bars.draw(RUNNING, 106.2, 1.0)
    bars.draw(RUNNING, 106.3, 1.0)
    first, second = (one["content"]["transient"]["display_id"] for one in kernel.sent)
    assert [one["kind"] for one in kernel.sent] == ["display_data"] * 2
    assert first != second
    shell.display_pub.clear_output("c")
    bars.draw(DONE, 107.0, 1.0)
    bars.end(DONE, 107.0, 1.0)
    assert [one["kind"] for one in kernel.sent].count("display_data") == 2
    own.detach()
    assert not shell.display_pub.hooks


def test_bars_say_what_moves_between_nodes() -> None:
    lab = NodeView(2, "2", "lab", "", figures=Figures(moving=3 << 30, moving_from=1))
    snapshot = Snapshot((NodeView(1, "1", "laptop", ""), lab), {"c": view("c", 1, 5)})
    made = Bars("c", NotebookBars(Cells(), "c")).look(snapshot, waiting=True)
    assert made is not None
    assert made.waiting == ("3 GB moving: from laptop to lab",)


def test_a_wait_for_what_no_task_makes_says_why() -> None:
    why = "waiting for placement group #2: 0 of 1 bundle placed; need 3 CPUs"
    kernel, own = Kernel(), Cells()
    own.attach(Shell(kernel))
    bars = Bars("c", NotebookBars(own, "c"))
    assert bars.look(Snapshot(awaited=(why,)), waiting=False) is None
    assert bars.look(Snapshot(awaited=(why,)), waiting=True) is not None
    bars.draw(10.0)
    assert kernel.sent[-1]["content"]["data"]["text/plain"] == f"W{why[1:]}"
    bars.look(Snapshot(), waiting=True)
    bars.end(12.0)
    assert kernel.sent[-1]["content"]["data"] == {"text/html": "", "text/plain": ""}


def test_a_wait_for_a_result_on_its_way_says_so_where_all_work_has_ended() -> None:
    lab = NodeView(2, "2", "lab", "", figures=Figures(moving=3 << 30, moving_from=1))
    laptop = NodeView(1, "1", "laptop", "")
    way, there = Snapshot((laptop, lab)), Snapshot((laptop,))
    kernel, own = Kernel(), Cells()
    own.attach(Shell(kernel))
    bars = Bars("c", NotebookBars(own, "c"))
    assert bars.look(there, waiting=True) is None
    assert bars.look(way, waiting=False) is None
    view = bars.look(way, waiting=True)
    assert view is not None
    assert view.finished
    bars.draw(10.0)
    shown = kernel.sent[-1]["content"]["data"]
    assert shown["text/plain"] == "3 GB moving: from laptop to lab"
    assert 'role="progressbar"' not in shown["text/html"]
    bars.look(there, waiting=True)
    bars.draw(11.0)  # it is there: nothing new is said
    bars.end(12.0)
    assert kernel.sent[-1]["content"]["data"] == {"text/html": "", "text/plain": ""}


def test_final_bars_give_no_reasons() -> None:
    kernel, own = Kernel(), Cells()
    own.attach(Shell(kernel))
    lab = NodeView(2, "2", "lab", "", figures=Figures(moving=3 << 30, moving_from=1))
    snapshot = Snapshot((NodeView(1, "1", "laptop", ""), lab), {"c": DONE})
    bars = Bars("c", NotebookBars(own, "c"))
    assert bars.look(snapshot, waiting=True) is not None
    bars.draw(10.0)
    assert "3 GB moving: from laptop to lab" in kernel.sent[-1]["content"]["data"]["text/plain"]
    bars.end(11.0)
    assert "moving" not in kernel.sent[-1]["content"]["data"]["text/html"].split("</style>")[1]
