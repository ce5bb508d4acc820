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
