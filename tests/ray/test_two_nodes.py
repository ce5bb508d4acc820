"""A Ray cluster of two machines: what the notebook on one sees of the other.

The seconds that it takes are written to artifacts/ray_two_nodes.json; docs/engines.md has them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.netns import HEAD_IP, WORKER_IP, TwoMachines, available
from harness import ARTIFACTS, require_or_skip
from ray_clusters import TOKEN, on_two_machines

pytestmark = pytest.mark.netns
PROGRAM = Path(__file__).with_name("nodes_program.py")


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, Any]]:
    """What the program saw, which runs on the head's machine."""
    reason = available()
    if reason:
        require_or_skip(reason)
    two = TwoMachines.make()
    try:
        with on_two_machines(two) as address:
            ran = two.run(
                two.head, [sys.executable, str(PROGRAM), address, WORKER_IP, TOKEN], timeout=110
            )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert address.startswith(HEAD_IP)
        found = json.loads(ran.stdout.splitlines()[-1])
        ARTIFACTS.mkdir(exist_ok=True)
        (ARTIFACTS / "ray_two_nodes.json").write_text(json.dumps(found, indent=1))
        yield found
    finally:
        two.close()


def test_stop_ends_what_runs_on_the_other_machine(seen: dict[str, Any]) -> None:
    assert set(seen["stop"]) == {"sleep", "loop", "multiply", "method"}
    assert all(len(took) == 5 for took in seen["stop"].values())
    assert seen["calls"] == 5  # the actor went on, with its state


def test_prints_of_the_other_machine_come_under_their_cell(seen: dict[str, Any]) -> None:
    assert 0 < seen["prints"]["median"] <= seen["prints"]["p90"]


def test_bars_and_panel_show_both_machines(seen: dict[str, Any]) -> None:
    assert seen["nodes"] == seen["ran"] == 2
    assert set(seen["bars"]) == {"1", "2"}
    assert sum(seen["bars"].values()) == 16
    assert seen["figures"]
