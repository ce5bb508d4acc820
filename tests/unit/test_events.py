"""Snapshots add up from events."""

from __future__ import annotations

from nbray.events import (
    HISTORY,
    ActorsChanged,
    CellChanged,
    CellView,
    Figures,
    NodeCounts,
    NodeFigures,
    NodesChanged,
    NodeView,
    Snapshot,
    apply,
)

ONE = NodeView(1, "a" * 32, "one", "10.0.0.1", is_head=True, resources={"CPU": 2})
TWO = NodeView(2, "b" * 32, "two", "10.0.0.2", resources={"CPU": 4})


def test_nodes_come_and_go():
    snapshot = apply(Snapshot(), NodesChanged((ONE, TWO)))
    assert [node.name for node in snapshot.nodes] == ["one", "two"]
    assert apply(snapshot, NodesChanged((ONE,))).nodes == (ONE,)


def test_figures_reach_their_node_only():
    snapshot = apply(Snapshot(), NodesChanged((ONE, TWO)))
    snapshot = apply(snapshot, NodeFigures(2, Figures(cpu_percent=50.0), {"CPU": 1}))
    assert snapshot.nodes[0] == ONE
    assert snapshot.nodes[1].figures.cpu_percent == 50
    assert snapshot.nodes[1].available == {"CPU": 1}
    assert snapshot.nodes[1].history == (50.0,)


def test_figures_of_an_unknown_node_are_ignored():
    snapshot = apply(Snapshot(), NodesChanged((ONE,)))
    assert apply(snapshot, NodeFigures(9, Figures(), {})) == snapshot


def test_history_is_bounded_and_survives_a_change_of_nodes():
    snapshot = apply(Snapshot(), NodesChanged((ONE,)))
    for percent in range(HISTORY + 10):
        snapshot = apply(snapshot, NodeFigures(1, Figures(cpu_percent=percent), {}))
    assert len(snapshot.nodes[0].history) == HISTORY
    assert snapshot.nodes[0].history[-1] == HISTORY + 9
    assert apply(snapshot, NodesChanged((ONE, TWO))).nodes[0].history[-1] == HISTORY + 9


def test_cells_and_actors():
    snapshot = apply(Snapshot(), CellChanged(CellView("c", submitted=1)))
    snapshot = apply(snapshot, CellChanged(CellView("c", submitted=2)))
    snapshot = apply(snapshot, ActorsChanged(3))
    assert snapshot.cells["c"].submitted == 2
    assert snapshot.actors == 3


def test_apply_leaves_the_old_snapshot_alone():
    old = Snapshot()
    apply(old, CellChanged(CellView("c")))
    assert old.cells == {}


def test_the_counts_of_a_cell():
    nodes = (NodeCounts(1, "one", done=3, running=1, failed=1), NodeCounts(2, "two", done=2))
    view = CellView("c", submitted=10, nodes=nodes, cancelled=1)
    assert (view.done, view.failed, view.running, view.queued) == (5, 2, 1, 2)
    assert not view.finished
    assert CellView("c", submitted=6, nodes=nodes[1:], cancelled=4).finished
