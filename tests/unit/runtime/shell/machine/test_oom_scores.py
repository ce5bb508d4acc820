"""What the kernel is told about who goes first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbray.runtime.shell.machine.oom_scores import ACTOR, TASKS, base_of, offer


@pytest.mark.parametrize(
    ("base", "task", "actor"),
    [(0, 1000, 600), (-500, 1000, 400), (-1000, 1000, 200), (900, 1000, 960), (1000, 1000, 1000)],
)
def test_tasks_before_actors_before_the_launcher(
    base: int, task: int, actor: int, tmp_path: Path
) -> None:
    path = tmp_path / "oom_score_adj"
    offer(TASKS, base, path)
    assert int(path.read_text()) == task
    offer(ACTOR, base, path)
    assert int(path.read_text()) == actor


def test_where_the_system_has_no_such_thing(tmp_path: Path) -> None:
    offer(TASKS, 0, tmp_path / "no" / "such")
    assert base_of(2**22 + 1) == 0
    assert -1000 <= base_of(os.getpid()) <= 1000
