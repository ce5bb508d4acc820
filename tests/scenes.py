"""Snapshots written by hand, shared by the tests of the view and of the notebook."""

from __future__ import annotations

from nbray.events import CellView, Figures, NodeCounts, NodeView, Output, Snapshot

GB = 1024**3

RUNNING = CellView(
    cell="c",
    submitted=1_000,
    nodes=(
        NodeCounts(1, "laptop", done=171, running=8),
        NodeCounts(2, "lab-gpu", done=238, running=16),
        NodeCounts(3, "10.0.4.17", done=3, failed=1),
    ),
    started=100.0,
    updated=105.0,
    waiting=("12 waiting: need 1 GPU; lab-gpu has 0 of 2 GPUs free",),
)
DONE = CellView(
    "c", 1_000, (NodeCounts(1, "laptop", 411), NodeCounts(2, "lab-gpu", 589)), 100.0, 105.4
)
SOME_FAILED = CellView(
    "c", 1_000, (NodeCounts(1, "laptop", 411), NodeCounts(2, "b", 585, 0, 4)), 100.0, 105.4
)
ALL_FAILED = CellView("c", 20, (NodeCounts(1, "laptop", 0, 0, 12),), 100.0, 105.4, (), 8)
EMPTY = CellView("c")
HOSTILE = "<script>alert('x')</script>\"&\x1b[31m"


def cluster(nodes: int = 3, address: str = "192.168.1.20:6379") -> Snapshot:
    """A cluster of that many alike nodes, the first of which is the head."""
    return Snapshot(
        nodes=tuple(
            NodeView(
                number=number,
                node_id=f"{number:032x}",
                name=f"host{number}",
                address=f"10.0.0.{number}",
                is_head=number == 1,
                resources={"CPU": 8.0, "GPU": 1.0},
                available={"CPU": 2.0, "GPU": 1.0},
                figures=Figures(88.0, 6 * GB, 16 * GB, 8, 6, 12, 12_401, 0, GB, 4 * GB, 240.0),
                history=(10.0, 50.0, 90.0),
            )
            for number in range(1, nodes + 1)
        ),
        address=address,
        actors=2,
    )


def printed(text: str, node: str = "laptop", pid: int = 7, stream: str = "stdout") -> Output:
    """One piece of output."""
    return Output("c", 1 if node == "laptop" else 2, node, pid, "segment", stream, text)
