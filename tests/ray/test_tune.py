"""A search of Ray Tune in a cell: a row for each trial, and Stop ends them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="Ray Tune needs it")
pytest.importorskip("ray.tune", reason="Ray Tune is not installed here")
PROGRAM = Path(__file__).with_name("tune_program.py")
SAID = ("interrupted", "ended", "settled")
pytestmark = pytest.mark.slow


def searched(
    address: str, folder: Path, *words: str
) -> tuple[list[dict[str, list[int]]], dict[str, str]]:
    """(the rows as they were, by name: done, running, failed, cancelled; what else was said)."""
    run = subprocess.run(
        [sys.executable, str(PROGRAM), address, str(folder), *words],
        capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    changes = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]
    said = dict(line.split(" ", 1) for line in run.stdout.splitlines() if line.startswith(SAID))
    return [{name: counts for name, *counts in rows} for _, rows in changes], said


def test_trials_are_rows(cluster: str, tmp_path: Path) -> None:
    seen, said = searched(cluster, tmp_path, "2", "0.1")
    assert said["settled"] == "[3, 3, 0, 0]"
    assert len(seen[-1]) == 3 and all(name.startswith("train_") for name in seen[-1])
    assert any(row[1] for rows in seen for row in rows.values()), "none was seen to run"


def test_stop_ends_them(cluster: str, tmp_path: Path) -> None:
    _, said = searched(cluster, tmp_path, "1000", "1", "stop")
    assert "interrupted" in said, "Tune kept the interrupt"
    submitted, done, failed, cancelled = json.loads(said["settled"])
    assert done == 0 and submitted == failed == cancelled > 0
