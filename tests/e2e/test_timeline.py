"""`nbray.timeline()` and `nbray timeline` on a real cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import cli

import nbray as ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(engine="native", num_cpus=2)
    yield
    ray.shutdown()


@ray.remote
def step(seconds: float) -> None:
    time.sleep(seconds)


@ray.remote
def parent() -> None:
    ray.get([step.remote(0.05) for _ in range(3)])


@ray.remote
def fails() -> None:
    raise ValueError("no")


def test_every_task_is_a_bar_on_its_worker_nested_ones_too(cluster: None, tmp_path: Path) -> None:
    ray.get([step.remote(0.1) for _ in range(6)] + [parent.remote()])
    ray.wait([fails.remote()], timeout=60)
    line = ray.timeline(filename=tmp_path / "trace.json")
    named = sorted(bar.function.rpartition(".")[2] for bar in line.bars)
    assert named == ["fails", "parent", *["step"] * 9]
    assert all(bar.end >= bar.start > 0 for bar in line.bars)
    assert sum(bar.end - bar.start for bar in line.bars if bar.function.endswith("step")) >= 0.7
    assert [bar.failed for bar in line.bars].count(True) == 1
    assert len({bar.pid for bar in line.bars}) >= 2
    events = json.loads((tmp_path / "trace.json").read_text())
    assert sum(event["ph"] == "X" for event in events) == len(line.bars)
    assert "11 tasks on" in repr(line)


def test_the_command_writes_the_trace(cluster: None, tmp_path: Path) -> None:
    ray.get(step.remote(0.01))
    path = tmp_path / "from_outside.json"
    done = cli.nbray("timeline", str(path))
    assert done.returncode == 0, done.stderr
    assert f"Trace file written to {path}: " in done.stdout
    names = {event["name"] for event in json.loads(path.read_text()) if event["ph"] == "X"}
    assert any(name.endswith("step") for name in names)
