"""Who goes first when the machine, or a group on it, has no memory left.

Owns what the kernel's OOM killer is told about each process of ours. Does not own noticing what it
did (`resources.oom_kills`). Rule: what can be repeated goes before what has state, and both before
the node and the notebook: workers that run tasks, then actors, then everybody else; among equals
the largest.

The kernel adds a process's share of the memory there is (0 to 1000) to what stands in its
`oom_score_adj`. With 1000 a task of any size is before every process of the usual 0; an actor is
before tasks' workers only if it has two fifths of the memory more than they.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TASKS = 1.0
ACTOR = 0.6
"""How much of the way from the launcher's own value to the highest."""
_MOST = 1000


def offer(share: float, base: int, path: Path | str = "/proc/self/oom_score_adj") -> None:
    """Be ended earlier than processes of *base*; nothing where the system has no such thing."""
    value = base + round((_MOST - base) * share) if base < _MOST else base
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CREAT)
        try:
            os.write(descriptor, b"%d" % value)
        finally:
            os.close(descriptor)


def base_of(pid: int) -> int:
    """What the kernel was told about process *pid*; 0 where the system has no such thing."""
    try:
        descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_RDONLY)
        try:
            return int(os.read(descriptor, 32))
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return 0


def become_actor() -> None:
    """This worker has state now: it goes later than others. Its parent is root."""
    offer(ACTOR, base_of(os.getppid()))
