"""The control groups that this process is in, and what they leave it.

Owns finding them (version 1, version 2, both at once; nested, in containers) and reading their
limits. Does not own what follows from a limit (`resources`). Rule: a group's limit counts for all
below it, so the least on the way up is the one that holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

_ENDLESS = 1 << 60
"""Version 1 says 'no limit' by a number about as large."""
SELF = Path("/proc/self")


class Groups(msgspec.Struct, frozen=True):
    """The folders of this process's groups, its own first, then those above it.

    Of version 2 `unified`, of version 1 one list for each controller.
    """

    unified: tuple[Path, ...] = ()
    memory: tuple[Path, ...] = ()
    cpu: tuple[Path, ...] = ()
    pids: tuple[Path, ...] = ()


@cache
def groups(proc: Path = SELF) -> Groups:
    """Those of the process whose folder in /proc is *proc*."""
    mounts = list(_mounts(proc))
    found: dict[str, tuple[Path, ...]] = {}
    for line in _lines(proc / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        names = controllers.split(",") if controllers else [""]
        for name in {"", "memory", "cpu", "pids"}.intersection(names):
            for kind, root, where in mounts:
                if name not in kind:
                    continue
                found.setdefault(name, tuple(_upwards(where, root, path)))
    return Groups(*(found.get(name, ()) for name in ("", "memory", "cpu", "pids")))


def _mounts(proc: Path) -> Iterator[tuple[set[str], str, Path]]:
    """(controllers, '' for version 2; which group is at its root; where) of what is mounted."""
    for line in _lines(proc / "mountinfo"):
        before, _, after = line.partition(" - ")
        fields, system = before.split(), after.split()
        if len(fields) < 5 or len(system) < 3:
            continue
        root, where = _unescaped(fields[3]), Path(_unescaped(fields[4]))
        if system[0] == "cgroup2":
            yield {""}, root, where
        elif system[0] == "cgroup":
            yield set(system[2].split(",")) - {""}, root, where


def _upwards(where: Path, root: str, path: str) -> Iterator[Path]:
    """The folder of group *path* below a mount of *root*, and those above it as far as we see."""
    if root not in ("/", path) and not path.startswith(root.rstrip("/") + "/"):
        path = root  # another namespace's view: ours is the mount's own root
    inside = path.removeprefix(root).strip("/") if root != "/" else path.strip("/")
    parts = [part for part in inside.split("/") if part and part != ".."]
    for count in range(len(parts), -1, -1):
        folder = where.joinpath(*parts[:count])
        if folder.is_dir():
            yield folder


def memory_limit(proc: Path = SELF) -> int | None:
    """Bytes that our groups may have together; None where nothing limits them."""
    mine = groups(proc)
    limits = [
        _number(folder / name)
        for folder in mine.unified
        for name in ("memory.max", "memory.high")
    ]
    limits += [_number(folder / "memory.limit_in_bytes") for folder in mine.memory]
    return min((one for one in limits if one is not None and one < _ENDLESS), default=None)


class Bound(msgspec.Struct, frozen=True):
    """The group with the least limit on memory, and what it says of itself."""

    limit: int
    folder: Path
    usage: str
    cached: str

    def charged(self) -> int:
        """Bytes in use in it, what is cached of files included; a cheap look."""
        return _number(self.folder / self.usage) or 0

    def used(self) -> int:
        """Bytes in use in it, without what is cached of files."""
        return max(0, self.charged() - _entry(self.folder / "memory.stat", self.cached))

    def processes(self) -> set[int]:
        """Those in it and in the groups below it."""
        return {
            int(line)
            for path in self.folder.rglob("cgroup.procs")
            for line in _lines(path)
            if line.isdigit()
        }


def memory_bound(proc: Path = SELF) -> Bound | None:
    """What bounds our memory; None where nothing does."""
    mine = groups(proc)
    least: Bound | None = None
    for folders, names, used, cached in (
        (mine.unified, ("memory.max", "memory.high"), "memory.current", "inactive_file"),
        (mine.memory, ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for folder in folders:
            limits = [_number(folder / name) for name in names]
            limit = min((one for one in limits if one is not None), default=_ENDLESS)
            if limit >= _ENDLESS or (least is not None and least.limit <= limit):
                continue
            if _number(folder / used) is not None:
                least = Bound(limit, folder, used, cached)
    return least


def memory_used(proc: Path = SELF) -> int | None:
    """Bytes in use in the group with the least limit (what is cached of files not counted)."""
    bound = memory_bound(proc)
    return None if bound is None else bound.used()


def cpu_limit(proc: Path = SELF) -> float | None:
    """CPUs' time that our groups may have together; None where nothing limits them."""
    mine = groups(proc)
    found: list[float] = []
    for folder in mine.unified:
        fields = " ".join(_lines(folder / "cpu.max")).split()
        if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]):
            found.append(int(fields[0]) / int(fields[1]))
    for folder in mine.cpu:
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota is not None and period:
            found.append(quota / period)
    return min(found, default=None)


def process_limit(proc: Path = SELF) -> int | None:
    """Processes and threads that our groups may have together; None where nothing limits them."""
    mine = groups(proc)
    found = [_number(folder / "pids.max") for folder in (*mine.unified, *mine.pids)]
    return min((one for one in found if one is not None), default=None)


def kills(proc: Path = SELF) -> int | None:
    """How often the kernel has killed in our groups for want of memory; None: it does not say."""
    mine = groups(proc)
    counts = [
        _entry(folder / name, "oom_kill")
        for folders, name in ((mine.unified, "memory.events"), (mine.memory, "memory.oom_control"))
        for folder in folders
        if (folder / name).exists()
    ]
    return sum(counts) if counts else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None


def _entry(path: Path, name: str) -> int:
    for line in _lines(path):
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def _unescaped(text: str) -> str:
    """mountinfo writes blanks as octal numbers."""
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text
