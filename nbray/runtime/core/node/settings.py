"""What a node is told at its start, and what follows from it for its workers.

Does not own what a node learns later: who is free, who is there, who its
clients are (see `brain`). Rule: nothing here changes but by `replace`.
"""

from __future__ import annotations

import msgspec

from nbray import config
from nbray.options import UNIT
from nbray.wire import messages as m

READY_MAX = 8
"""Most workers that are started before anybody asks."""


class GuardSettings(msgspec.Struct, frozen=True):
    """When a node steps in; by Ray's names in the environment (see `config`)."""

    threshold: float = config.MEMORY_THRESHOLD
    """Part of the memory that may be in use."""
    least_free: int = -1
    """Bytes: less than that has to be free as well (-1: the part alone decides)."""
    every: float = config.MEMORY_LOOK
    """Seconds between two looks (0: never)."""

    def limit(self, total: int) -> int:
        """Bytes of *total* in use above which it steps in."""
        limit = int(total * self.threshold)
        return limit if self.least_free < 0 else max(limit, total - self.least_free)


class NodeConfig(msgspec.Struct, frozen=True):
    """Who a node is, whom it belongs to, and how many workers it may have."""

    number: int
    cluster: int
    info: m.NodeInfo
    """Itself, as others know it."""
    versions: m.Versions
    address: str = ""
    """host:port of the cluster's head."""
    cap: int = config.WORKER_CAP
    """Most worker processes, beyond one for each CPU."""
    ready: int = -1
    """Workers started before anybody asks (-1: one a CPU, at most `READY_MAX`)."""
    owner: int = 0
    """Process with which everything ends (0: none)."""
    rejoins: bool = False
    """When it has lost the head, its machine joins the cluster again, under another number."""
    guard: GuardSettings = GuardSettings()
    """When it steps in because memory is short."""
    bound: str = ""
    """Why `cap` allows no more workers, and what would help; the end of a sentence."""

    @property
    def cpus(self) -> int:
        """Whole CPUs of the node."""
        return self.info.total.get("CPU", 0) // UNIT

    @property
    def prepared(self) -> int:
        """Workers to start before anybody asks."""
        return min(self.cpus, READY_MAX) if self.ready < 0 else self.ready

    @property
    def most(self) -> int:
        """Most worker processes at one time."""
        return self.cpus + self.cap
