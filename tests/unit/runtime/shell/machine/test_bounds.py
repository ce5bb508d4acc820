"""Bounds, as `nbray doctor` shows them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nbray.runtime.shell.machine import cgroups
from nbray.runtime.shell.machine import resources as machine
from nbray.runtime.shell.machine.bounds import bounds


def text() -> str:
    return "\n".join(bounds())


def test_each_says_what_it_bounds_and_what_changes_it() -> None:
    found = list(bounds())
    assert all(line.startswith("at most ") for line in found)
    for what in ("CPUs", "object store", "workers", "ulimit -Hn", "secret", "C code", "an error"):
        assert any(what in line for line in found), what


@pytest.mark.parametrize("most", [3, 70, 100_000])
def test_what_was_asked_for_is_shown(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBRAY_MAX_WORKERS", str(most))
    assert f"at most {most:,} workers: NBRAY_MAX_WORKERS={most}" in text()


def test_a_group_s_limit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "memory_limit", lambda: 2 << 30)
    monkeypatch.setattr(cgroups, "cpu_limit", lambda: 0.5)
    assert machine.memory() == 2 << 30
    assert "at most 1 CPUs (the quota of its control group)" in text()
    assert "at most 2 GB of memory (the limit of its control group)" in text()


@pytest.mark.parametrize("hard", [128, 1024])
def test_the_hard_limit_is_what_counts(hard: int) -> None:
    program = (
        "import resource; from nbray.runtime.shell.machine.bounds import bounds; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard})); print(*bounds(), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"at most {hard:,} files and connections of a process" in done.stdout
