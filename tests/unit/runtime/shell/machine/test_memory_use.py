"""Looks at the memory, in trees of files as kernels lay them out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbray import config
from nbray.runtime.shell.machine import cgroups
from nbray.runtime.shell.machine.memory_use import MemoryUse

GB = 1 << 30
PAGE = os.sysconf("SC_PAGE_SIZE")


class Machine:
    """A /proc of ten GB, of which *free* are available."""

    def __init__(self, folder: Path, free: float) -> None:
        cgroups.groups.cache_clear()
        self.proc = folder / "proc"
        self.group = folder / "memory"
        (self.proc / "self").mkdir(parents=True)
        self.now = 0.0
        available = int(free * GB) >> 10
        lines = f"MemTotal: {10 * GB >> 10} kB\nMemFree: 5 kB\nMemAvailable: {available} kB\n"
        (self.proc / "meminfo").write_text(lines)
        self.use = MemoryUse(self.proc, lambda: self.now)

    def process(self, pid: int, name: str, resident: int, shared: int) -> None:
        folder = self.proc / str(pid)
        folder.mkdir()
        pages = f"9 {resident // PAGE} {shared // PAGE} 1 0 1 0"
        (folder / "statm").write_text(pages)
        (folder / "comm").write_text(name + "\n")

    def limited(self, limit: float, usage: float, cached: float = 0, pids: str = "") -> None:
        self.group.mkdir()
        mount = f"30 1 0:26 / {self.group} rw - cgroup cgroup rw,memory\n"
        (self.proc / "self" / "mountinfo").write_text(mount)
        (self.proc / "self" / "cgroup").write_text("4:memory:/\n")
        for name, size in (("limit_in_bytes", limit), ("usage_in_bytes", usage)):
            (self.group / f"memory.{name}").write_text(f"{int(size * GB)}\n")
        (self.group / "memory.stat").write_text(f"total_inactive_file {int(cached * GB)}\n")
        (self.group / "cgroup.procs").write_text(pids)


def nine_tenths(used: int, total: int) -> bool:
    return used >= 0.9 * total


def test_who_has_it_is_asked_only_when_it_is_short(tmp_path: Path) -> None:
    machine = Machine(tmp_path, free=2)
    machine.process(7, "python", 3 * GB, GB)
    seen = machine.use.look(nine_tenths)
    assert (seen.used, seen.total, seen.held) == (8 * GB, 10 * GB, {})
    seen = machine.use.look(lambda _used, _total: True)
    assert seen.held == {7: 2 * GB}
    assert seen.largest == ((7, "python", 2 * GB),)


def test_the_group_s_limit_counts_and_what_it_caches_does_not(tmp_path: Path) -> None:
    machine = Machine(tmp_path, free=9)
    machine.limited(4, usage=3.9, cached=1)
    seen = machine.use.look(nine_tenths)
    assert (seen.used, seen.total) == (int(2.9 * GB), 4 * GB)


def test_whose_end_has_come_is_told(tmp_path: Path) -> None:
    machine = Machine(tmp_path, free=0.2)
    states = {
        5: "State:\tR (running)\nVmRSS:\t 10 kB\nSigPnd:\t0000000000000000\nShdPnd:\t0\n",
        6: "State:\tR (running)\nVmRSS:\t 10 kB\nSigPnd:\t0\nShdPnd:\t0000000000000100\n",
        7: "State:\tZ (zombie)\nSigPnd:\t0\nShdPnd:\t0\n",
        8: "State:\tD (disk sleep)\nSigPnd:\t0\nShdPnd:\t0\n",  # has let go of its memory
    }
    for pid, text in states.items():
        machine.process(pid, "python", GB, 0)
        (machine.proc / str(pid) / "status").write_text(text)
    seen = machine.use.look(nine_tenths, lambda: [*states, 9])
    assert seen.leaving == {6, 7, 8, 9}


def test_only_who_is_in_the_group_is_named(tmp_path: Path) -> None:
    machine = Machine(tmp_path, free=9)
    machine.process(7, "ours", 3 * GB, 0)
    machine.process(8, "another's", 5 * GB, 0)
    machine.limited(4, usage=3.9, pids="7\n")
    assert [name for _, name, _ in machine.use.look(nine_tenths).largest] == ["ours"]


def test_what_others_have_of_the_machine_counts_if_it_leaves_less(tmp_path: Path) -> None:
    machine = Machine(tmp_path, free=0.2)
    machine.limited(4, usage=1)
    seen = machine.use.look(nine_tenths)
    assert seen.used > 3.7 * GB
    assert seen.total == 4 * GB


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, (0.95, -1, 0.25)),
        ({config.MEMORY_USAGE: "0.5", config.MEMORY_FREE: "1000"}, (0.5, 1000, 0.25)),
        ({config.MEMORY_MONITOR: "0"}, (0.95, -1, 0.0)),
        ({config.MEMORY_USAGE: " "}, (0.95, -1, 0.25)),
    ],
)
def test_ray_s_variables(said: dict[str, str], found: tuple[float, int, float]) -> None:
    assert config.memory_guard(said) == found


@pytest.mark.parametrize("said", ["much", "nan", "1.5", "-1", "inf"])
def test_what_is_no_part_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=r"must be a number of at least 0 and at most 1"):
        config.memory_guard({config.MEMORY_USAGE: said})
    with pytest.raises(ValueError, match="RAY_task_oom_retries is 'x'"):
        config.memory_retries({config.MEMORY_RETRIES: "x"})
