"""What an observer says of a cluster, and when it ends. Real ones: tests/e2e."""

from __future__ import annotations

import subprocess
import sys

from nbray.events import NodeView, Snapshot
from nbray.jupyter.server.observer import view

HEAD = NodeView(1, "01", "ada", "127.0.0.1", True, True, {"CPU": 2.0}, {"CPU": 0.5})
SECOND = NodeView(2, "02", "ada", "127.0.0.1", False, True, {"CPU": 1.0}, {"CPU": 1.0})
GONE = NodeView(3, "03", "<b>", "127.0.0.1", False, False, {"CPU": 8.0}, {"CPU": 8.0})


def test_figures_are_those_of_living_nodes() -> None:
    seen = view(Snapshot(nodes=(HEAD, SECOND, GONE)))
    assert (seen.nodes, seen.busy, seen.cpus) == (2, 1.5, 3.0)
    assert "2 nodes" in seen.html
    assert "<b>" not in seen.html.replace("<b>2 nodes", ""), "names are escaped"


def test_a_cluster_that_has_ended_is_said_to_have() -> None:
    argv = [sys.executable, "-m", "nbray.jupyter.server.observer", "/nowhere"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=150)
    assert (done.returncode, done.stderr.strip()) == (1, "this cluster has ended")
