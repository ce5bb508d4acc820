"""A warden on each node: an actor of Ray's, without CPUs, that does what needs to be there.

Owns what is done on a node: interrupting a call (`interrupting`), and the machine's figures for the
panel. Wardens belong to the driver that made them, and end with it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import ray

from nbray.engines.ray.interrupting import leave_word
from nbray.events import Figures


class Warden:
    """On one node."""

    def __init__(self) -> None:
        self._began = time.time()
        self._times = psutil.cpu_times()
        self._cpu = 0.0

    def stop(self, pid: int, call: int) -> bool:
        """Interrupt *call* in process *pid*; whether it was told."""
        return leave_word(pid, call)

    def look(self, pids: Sequence[int]) -> tuple[dict[str, Any], list[int]]:
        """(figures of the machine, those of *pids* that run no more)."""
        memory = psutil.virtual_memory()
        workers = 0
        for one in self._siblings():
            with contextlib.suppress(psutil.Error):
                workers += one.status() != psutil.STATUS_ZOMBIE
        figures = {
            "cpu_percent": self._busy(), "memory_used": memory.total - memory.available,
            "memory_total": memory.total, "workers": workers, "uptime": time.time() - self._began,
        }  # fmt: skip
        return figures, [pid for pid in pids if not _runs(pid)]

    def _busy(self) -> float:
        """Percent of the machine's CPUs in use since the last look; psutil's own is by thread."""
        before, now = self._times, psutil.cpu_times()
        spent = sum(now) - sum(before)
        idle = now.idle - before.idle + getattr(now, "iowait", 0) - getattr(before, "iowait", 0)
        if spent > 0:
            self._times = now
            self._cpu = min(100.0, max(0.0, 100 * (1 - idle / spent)))
        return self._cpu

    def _siblings(self) -> list[psutil.Process]:
        """The node's worker processes: what has the same parent, this one excepted."""
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(os.getppid())
            return [
                one for one in parent.children()
                if one.pid != os.getpid() and _is_worker(one)
            ]  # fmt: skip
        return []


def _is_worker(one: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error, IndexError):
        return one.cmdline()[0].startswith("ray::")
    return False


def _runs(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


class Wardens:
    """Those of one driver, by node."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._looks: dict[str, Any] = {}
        """Ray's reference of the look that was asked for last, by node."""
        self.figures: dict[str, Figures] = {}

    def ensure(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Have a warden on each of *nodes* (as `ray.nodes()` tells them) that lives."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        with self._lock:
            alive = {node["NodeID"] for node in nodes if node["Alive"]}
            for gone in self._made.keys() - alive:
                del self._made[gone]
                self.figures.pop(gone, None)
                self._looks.pop(gone, None)
            for node in alive - self._made.keys():
                self._made[node] = ray.remote(Warden).options(
                    num_cpus=0, max_restarts=-1, max_concurrency=8,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
                ).remote()  # fmt: skip

    def stop(self, node: str, pid: int, call: int) -> bool:
        """Have *call* interrupted; False: there is no warden there."""
        warden = self._made.get(node)
        if warden is None:
            return False
        warden.stop.remote(pid, call)
        return True

    def look(self, pids: Mapping[str, Sequence[int]]) -> list[tuple[str, int]]:
        """Ask all for figures, and take what has come; which of *pids* run no more."""
        gone: list[tuple[str, int]] = []
        for node, warden in list(self._made.items()):
            asked = self._looks.get(node)
            if asked is not None:
                ready, _ = ray.wait([asked], timeout=0)
                if not ready:
                    continue
                with contextlib.suppress(ray.exceptions.RayError):
                    figures, dead = ray.get(asked)
                    self.figures[node] = Figures(**figures)
                    gone += [(node, pid) for pid in dead]
            self._looks[node] = warden.look.remote(list(pids.get(node, ())))
        return gone
