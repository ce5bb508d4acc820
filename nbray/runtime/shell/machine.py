"""What this machine is: versions, resources, figures.

Owns reading them from the system. Does not own what they are used for. psutil
is imported only for figures, so that a start does not wait for it.
"""

from __future__ import annotations

import math
import os
import platform
import resource
import socket
import time
from pathlib import Path

from nbray.config import (
    MOST_WORKERS,
    PROTOCOL,
    SEGMENTS_SHARE,
    STORE_SHARE,
    WORKER_BYTES,
    WORKER_CAP,
    WORKER_SHARE,
    WORKER_TASKS,
    NodeRequest,
)
from nbray.events import Figures
from nbray.figures import memory as shown
from nbray.options import UNIT
from nbray.runtime.shell import room
from nbray.runtime.store.books import ARENA
from nbray.version import __version__
from nbray.wire.messages import Shape, Versions

NBRAY = __version__
_STARTED = time.monotonic()


def versions() -> Versions:
    """What peers compare."""
    return Versions(PROTOCOL, platform.python_version(), NBRAY)


def host_name() -> str:
    """The machine's name."""
    return socket.gethostname()


def _cgroup(name: str) -> str:
    try:
        return (Path("/sys/fs/cgroup") / name).read_text().strip()
    except OSError:
        return ""


def cpus() -> int:
    """CPUs this process may use, by affinity and by its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cgroup("cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit() and int(quota[1]):
        count = min(count, math.ceil(int(quota[0]) / int(quota[1])))
    return max(1, count)


def memory() -> int:
    """Bytes of memory, by the machine or by its container's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _cgroup("memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def gpus() -> int:
    """NVIDIA devices, as far as CUDA_VISIBLE_DEVICES shows them."""
    try:
        count = len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        count = 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        count = min(count, len([one for one in visible.split(",") if one.strip()]))
    return count


def store_bytes(request: NodeRequest) -> int:
    """The capacity of the object store."""
    return request.object_store_memory or int(memory() * STORE_SHARE)


def arena(capacity: int) -> int:
    """Bytes of a segment that objects share, so that a store of *capacity* takes few enough.

    Each segment costs descriptors: where a process may have few, segments are larger.
    """
    most = max(1, int(room.limit() * SEGMENTS_SHARE))
    least = -(-capacity // most)
    return max(ARENA, -(-least // ARENA) * ARENA)


def workers(request: NodeRequest) -> tuple[int, str]:
    """The most worker processes of a node, and why not more, as the end of a sentence."""
    if request.max_workers:
        return request.max_workers, f"{MOST_WORKERS}={request.max_workers} allows no more"
    raised = (
        f"where each takes little of it, {MOST_WORKERS} in the environment in which the node is "
        "started (or `nbray start --max-workers`) allows more"
    )
    count = WORKER_CAP + cpus()
    fit = int(memory() * WORKER_SHARE / WORKER_BYTES)
    why = (
        f"more would take over half of its memory of {shown(memory())}, at {shown(WORKER_BYTES)} "
        f"each with nothing loaded: twice the memory fits twice as many; {raised}"
    )
    most = max(count, fit)
    tasks = _threads()
    if tasks and tasks // WORKER_TASKS < most:
        most = max(1, tasks // WORKER_TASKS)
        why = f"the system allows {tasks:,} threads here (ulimit -u, or its container's pids.max)"
    return most, why


def _threads() -> int:
    """How many threads and processes the system allows here (0: no bound is known)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    bounds = [] if soft == resource.RLIM_INFINITY or os.getuid() == 0 else [soft]
    container = _cgroup("pids.max")
    if container.isdigit():
        bounds.append(int(container))
    return min(bounds, default=0)


def resources(request: NodeRequest) -> Shape:
    """Everything the node has, in ten-thousandths, by Ray's names."""
    count = cpus() if request.num_cpus is None else request.num_cpus
    devices = gpus() if request.num_gpus is None else request.num_gpus
    store = store_bytes(request)
    amounts = {
        "CPU": count,
        "GPU": devices,
        "memory": max(0, memory() - store),
        "object_store_memory": store,
        f"node:{request.node_ip}": 1.0,
        **request.resources,
    }
    if request.head:
        amounts["node:__internal_head__"] = 1.0
    return {name: round(amount * UNIT) for name, amount in amounts.items() if amount}


def figures() -> Figures:
    """CPU and memory in use now. The first call's CPU figure is 0."""
    import psutil

    used = psutil.virtual_memory()
    return Figures(
        cpu_percent=psutil.cpu_percent(None),
        memory_used=used.total - used.available,
        memory_total=used.total,
        uptime=time.monotonic() - _STARTED,
    )


def oom_kills() -> int:
    """How often the kernel has killed for want of memory, since it booted."""
    for line in _cgroup("memory.events").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
