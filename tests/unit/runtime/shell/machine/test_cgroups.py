"""Limits of control groups, in trees of files as kernels lay them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbray.runtime.shell.machine import cgroups

GB = 1 << 30
ENDLESS = "9223372036854771712"


class Tree:
    """A system with groups: what /proc/self and the mounted hierarchies say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.proc = folder / "proc"
        self.proc.mkdir()
        self._mounts: list[str] = []
        self._groups: list[str] = []

    def mount(self, name: str, kind: str, controllers: str = "", root: str = "/") -> Path:
        where = self.folder / name
        where.mkdir(parents=True)
        shown = str(where).replace(" ", "\\040")
        self._mounts.append(
            f"30 1 0:26 {root} {shown} rw,nosuid shared:4 - {kind} cgroup rw,{controllers}"
            if kind == "cgroup2"
            else f"30 1 0:26 {root} {shown} rw - cgroup cgroup {controllers}"
        )
        lines = ["1 0 8:1 / / rw - ext4 x rw", *self._mounts]
        (self.proc / "mountinfo").write_text("\n".join(lines))
        return where

    def member(self, line: str) -> None:
        self._groups.append(line)
        (self.proc / "cgroup").write_text("\n".join(self._groups) + "\n")

    @staticmethod
    def write(folder: Path, **files: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(f"{text}\n")

    def limits(self) -> tuple[int | None, float | None]:
        return cgroups.memory_limit(self.proc), cgroups.cpu_limit(self.proc)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    cgroups.groups.cache_clear()
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("own", "above", "limit"),
    [
        (2 * GB, "max", 2 * GB), ("max", 3 * GB, 3 * GB), (4 * GB, GB, GB), ("max", "max", None),
    ],
)
def test_version_2_nested(tree: Tree, own: object, above: object, limit: int | None) -> None:
    where = tree.mount("cg 2", "cgroup2")
    tree.member("0::/user.slice/session-1.scope")
    tree.write(where / "user.slice" / "session-1.scope", memory__max=own, cpu__max="max 100000")
    tree.write(where / "user.slice", memory__max=above, cpu__max="150000 100000")
    assert tree.limits() == (limit, 1.5)


def test_version_2_in_a_container_shows_its_own_root(tree: Tree) -> None:
    where = tree.mount("cg", "cgroup2")
    tree.member("0::/")
    tree.write(
        where, memory__max=GB, memory__current=400, memory__stat="anon 100\ninactive_file 150",
        memory__events="low 0\noom 3\noom_kill 2", cpu__max="50000 100000",
    )  # fmt: skip
    assert tree.limits() == (GB, 0.5)
    assert cgroups.memory_used(tree.proc) == 250
    assert cgroups.kills(tree.proc) == 2


def test_version_2_slows_before_it_kills(tree: Tree) -> None:
    where = tree.mount("cg", "cgroup2")
    tree.member("0::/a")
    tree.write(where / "a", memory__max=2 * GB, memory__high=GB)
    assert tree.limits() == (GB, None)


@pytest.mark.parametrize(
    ("own", "above", "limit"),
    [(2 * GB, ENDLESS, 2 * GB), (ENDLESS, 3 * GB, 3 * GB), (ENDLESS, ENDLESS, None)],
)
def test_version_1_nested(tree: Tree, own: object, above: object, limit: int | None) -> None:
    memory = tree.mount("memory", "cgroup", "rw,memory")
    cpu = tree.mount("cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")
    tree.member("9:name=systemd:/")
    tree.member("4:memory:/slurm/job_7")
    tree.member("3:cpu,cpuacct:/slurm/job_7")
    tree.member("0::/")
    tree.write(
        memory / "slurm" / "job_7", memory__limit_in_bytes=own, memory__usage_in_bytes=1000,
        memory__stat="cache 7\ntotal_inactive_file 300",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 5",
    )  # fmt: skip
    tree.write(memory / "slurm", memory__limit_in_bytes=above, memory__usage_in_bytes=2000)
    tree.write(cpu / "slurm" / "job_7", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    tree.write(cpu / "slurm", cpu__cfs_quota_us=350000, cpu__cfs_period_us=100000)
    assert tree.limits() == (limit, 3.5)
    used = {2 * GB: 700, 3 * GB: 2000, None: None}[limit]
    assert cgroups.memory_used(tree.proc) == used
    assert cgroups.kills(tree.proc) == 5


def test_version_1_in_a_container_whose_mount_begins_at_its_group(tree: Tree) -> None:
    memory = tree.mount("memory", "cgroup", "rw,memory", root="/docker/abc")
    tree.member("4:memory:/docker/abc")
    tree.write(memory, memory__limit_in_bytes=GB)
    assert tree.limits() == (GB, None)


def test_version_1_whose_path_is_of_another_namespace(tree: Tree) -> None:
    memory = tree.mount("memory", "cgroup", "rw,memory", root="/docker/abc")
    tree.member("4:memory:/")
    tree.write(memory, memory__limit_in_bytes=GB)
    assert tree.limits() == (GB, None)


def test_both_versions_at_once(tree: Tree) -> None:
    memory = tree.mount("memory", "cgroup", "rw,memory")
    unified = tree.mount("unified", "cgroup2")
    tree.member("4:memory:/a")
    tree.member("0::/b")
    tree.write(memory / "a", memory__limit_in_bytes=3 * GB)
    tree.write(unified / "b", cpu__max="200000 100000")
    assert tree.limits() == (3 * GB, 2.0)


def test_a_system_without_groups(tree: Tree) -> None:
    assert tree.limits() == (None, None)
    assert cgroups.memory_used(tree.proc) is None
    assert cgroups.kills(tree.proc) is None
