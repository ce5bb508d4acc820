"""What a cell's counts add up to."""

from __future__ import annotations

from nbray.events import CellView, NodeCounts


def test_the_counts_of_a_cell():
    nodes = (NodeCounts(1, "one", done=3, running=1, failed=1), NodeCounts(2, "two", done=2))
    view = CellView("c", submitted=10, nodes=nodes, cancelled=1)
    assert (view.done, view.failed, view.running, view.queued) == (5, 2, 1, 2)
    assert not view.finished
    assert CellView("c", submitted=6, nodes=nodes[1:], cancelled=4).finished
