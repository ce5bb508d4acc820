"""How much memory is in use at this moment, and who has it.

Owns cheap looks, for a node takes four a second while it works. Does not own what follows from
them (`node.memory_guard`), nor the figures of screens (`resources`). Rule: which group bounds us is
looked up every few seconds only; what it caches of files is asked for only when it seems full.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from nbray.runtime.core.node.memory_guard import TOP, Seen
from nbray.runtime.shell.machine import cgroups

_FRESH = 5.0
"""Seconds for which the limits of our groups are believed."""
_NAME = 40
"""Most characters of a process's name."""


class MemoryUse:
    """Looks at the memory of this machine, or of the group on it that bounds us.

    Args:
        proc: where the system shows processes.
        clock: seconds.
    """

    def __init__(
        self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._proc = proc
        self._clock = clock
        self._until = float("-inf")
        self._bound: cgroups.Bound | None = None
        self._page = os.sysconf("SC_PAGE_SIZE")

    def look(
        self, short: Callable[[int, int], bool], workers: Callable[[], Iterable[int]] = tuple
    ) -> Seen:
        """How much is in use; where that is *short* of memory (used, total), also who has it.

        Args:
            short: whether so much of so much is too much (bytes).
            workers: the processes of which it matters whether their end has come.
        """
        now = self._clock()
        if now >= self._until:
            self._bound = cgroups.memory_bound(self._proc / "self")
            self._until = now + _FRESH
        used, total = self._use(short)
        if not short(used, total):
            return Seen(used, total)
        bound = self._bound
        inside_pids = bound.processes() if bound is not None and total == bound.limit else None
        held, largest = self._processes(inside_pids)
        # That takes a while, in which the kernel may have ended who had too much: nobody else is
        # to be ended for it.
        leaving = frozenset(pid for pid in workers() if self._leaves(pid))
        used, total = self._use(short)
        return Seen(used, total, held, largest, leaving)

    def _use(self, short: Callable[[int, int], bool]) -> tuple[int, int]:
        """(bytes in use, bytes there are): of the machine, or of the group that bounds us."""
        total, available = self._machine()
        used = total - available
        bound = self._bound
        if bound is not None and bound.limit < total:
            total = bound.limit
            # What others have of the machine counts if it leaves us less than our limit.
            outside, inside = max(0, total - available), bound.charged()
            if short(inside, total) and not short(outside, total):
                inside = bound.used()
            used = max(outside, inside)
        return used, total

    def _machine(self) -> tuple[int, int]:
        """(total, available) bytes."""
        try:
            text = (self._proc / "meminfo").read_bytes()
        except OSError:
            import psutil  # not Linux

            found = psutil.virtual_memory()
            return found.total, found.available
        values = dict(line.split(b":", 1) for line in text.splitlines()[:3] if b":" in line)
        return _kilobytes(values[b"MemTotal"]), _kilobytes(values[b"MemAvailable"])

    def _processes(
        self, inside: set[int] | None
    ) -> tuple[dict[int, int], tuple[tuple[int, str, int], ...]]:
        """(bytes that each process has for itself, the largest with their names).

        *inside*: only these count.
        """
        held: dict[int, int] = {}
        for entry in os.scandir(self._proc):
            if entry.name.isdigit():
                try:
                    fields = (self._proc / entry.name / "statm").read_bytes().split()
                    held[int(entry.name)] = (int(fields[1]) - int(fields[2])) * self._page
                except (OSError, ValueError, IndexError):
                    continue  # it has just ended
        some = [pid for pid in held if inside is None or pid in inside]
        largest = sorted(some, key=lambda pid: held[pid], reverse=True)[:TOP]
        return held, tuple((pid, self._name(pid), held[pid]) for pid in largest if held[pid])

    def _leaves(self, pid: int) -> bool:
        """Whether a process has ended, is ending, or will as soon as it next runs."""
        try:
            status = (self._proc / str(pid) / "status").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return True
        except OSError:
            return False  # not for us to know
        fields = dict(line.split(b":", 1) for line in status.splitlines() if b":" in line)
        if fields.get(b"State", b" ?").strip()[:1] in b"ZX" or b"VmRSS" not in fields:
            return True
        pending = int(fields.get(b"SigPnd", b"0"), 16) | int(fields.get(b"ShdPnd", b"0"), 16)
        return bool(pending >> (signal.SIGKILL - 1) & 1)

    def _name(self, pid: int) -> str:
        try:
            return (self._proc / str(pid) / "comm").read_text(errors="replace").strip()[:_NAME]
        except OSError:
            return "a process"


def _kilobytes(text: bytes) -> int:
    return int(text.split()[0]) * 1024
