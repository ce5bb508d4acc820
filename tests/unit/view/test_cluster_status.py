"""What `nbray status` says in the form of Ray's."""

from __future__ import annotations

from nbray import details as d
from nbray.events import NodeView, Snapshot
from nbray.view.cluster_status import status_text

GIB = float(1 << 30)
HEAD = NodeView(
    1, "aa", "box", "10.0.0.5", True, True, {"CPU": 4.0, "memory": 8 * GIB, "node:10.0.0.5": 1.0},
    {"CPU": 2.5, "memory": 8 * GIB, "node:10.0.0.5": 1.0},
)  # fmt: skip
SECOND = NodeView(2, "bb", "lab", "10.0.0.6", False, True, {"CPU": 1.0, "disk": 2.0}, {"CPU": 1.0})


def test_nodes_usage_and_what_waits() -> None:
    waits = d.TaskRecord(1, 7, "f", "", 1, d.QUEUED, resources={"CPU": 1.0, "disk": 3.0})
    runs = d.TaskRecord(1, 8, "f", "", 1, d.RUNNING, resources={"CPU": 1.0})
    found = d.Details(tasks=(waits, waits, runs))
    text = status_text(Snapshot(nodes=(HEAD, SECOND)), found)
    assert " 1 node_aa\n 1 node_bb\n" in text
    assert "Total Usage:\n 1.5/5.0 CPU\n 2.0/2.0 disk\n 0B/8.00GiB memory\n" in text
    assert text.endswith("Pending Demands:\n {'CPU': 1.0, 'disk': 3.0}: 2+ pending tasks/actors")
    each = status_text(Snapshot(nodes=(HEAD, SECOND)), found, each=True)
    assert "Node: bb\n Usage:\n  0.0/1.0 CPU\n  2.0/2.0 disk" in each


def test_placement_groups() -> None:
    """What they reserve, what is used of it, and what waits for a place."""
    node = NodeView(
        1, "aa", "box", "10.0.0.5", True, True,
        {"CPU": 2.0, "CPU_group_ab": 2.0, "CPU_group_0_ab": 2.0},
        {"CPU": 0.0, "CPU_group_ab": 1.5, "CPU_group_0_ab": 1.5},
    )  # fmt: skip
    groups = (
        d.GroupRecord("ab", bundles=({"CPU": 2.0},)),
        d.GroupRecord("cd", bundles=({"CPU": 1.0},) * 2, strategy="SPREAD", state="PENDING"),
    )
    text = status_text(Snapshot(nodes=(node,)), d.Details(), groups=groups, at="now")
    assert text.startswith("======== Autoscaler status: now ========\nNode status\n")
    assert "\n 2.0/2.0 CPU (0.5 used of 2.0 reserved in placement groups)\n" in text
    assert text.endswith("\n {'CPU': 1.0} * 2 (SPREAD): 1+ pending placement groups")


def test_a_node_that_is_gone_and_nothing_that_waits() -> None:
    gone = NodeView(2, "bb", "lab", "10.0.0.6", alive=False)
    text = status_text(Snapshot(nodes=(gone,)), d.Details())
    assert "Active:\n (no active nodes)" in text
    assert " node_bb: NodeTerminated (ip: 10.0.0.6)" in text
    assert text.endswith(" (no resource demands)")
