"""What this machine is: its name, resources, figures.

Owns reading them from the system. Does not own what they are used for. psutil
is imported only for figures, so that a start does not wait for it.
"""

from __future__ import annotations

import math
import os
import resource
import socket
import time
from pathlib import Path

from nbray import gpus
from nbray.config import (
    MOST_WORKERS,
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
from nbray.runtime.shell.machine import cgroups, descriptors
from nbray.wire.messages import Shape

_STARTED = time.monotonic()


def host_name() -> str:
    """The machine's name."""
    return socket.gethostname()


def cpus() -> int:
    """CPUs this process may use, by affinity and by its groups' quotas."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = cgroups.cpu_limit()
    if quota is not None:
        count = min(count, math.ceil(quota))
    return max(1, count)


def memory() -> int:
    """Bytes of memory, by the machine or by the least limit of its groups."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = cgroups.memory_limit()
    return total if limit is None else min(total, limit)


def store_bytes(request: NodeRequest) -> int:
    """The capacity of the object store."""
    return request.object_store_memory or int(memory() * STORE_SHARE)


def arena(capacity: int) -> int:
    """Bytes of a segment that objects share, so that a store of *capacity* takes few enough.

    Each segment costs descriptors: where a process may have few, segments are larger.
    """
    from nbray.runtime.core.node.store.slots import ARENA  # late: workers need only `memory`

    most = max(1, int(descriptors.limit() * SEGMENTS_SHARE))
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
    container = cgroups.process_limit()
    if container is not None:
        bounds.append(container)
    return min(bounds, default=0)


def resources(request: NodeRequest) -> Shape:
    """Everything the node has, in ten-thousandths, by Ray's names."""
    count = cpus() if request.num_cpus is None else request.num_cpus
    devices = gpus.count() if request.num_gpus is None else request.num_gpus
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
    """CPU and memory in use now; of the groups, where those are limited. The first CPU is 0."""
    import psutil

    found = psutil.virtual_memory()
    used, total = found.total - found.available, found.total
    limit = memory()
    if limit < total:
        inside = cgroups.memory_used()
        # What others have of the machine counts if it leaves us less than our limit.
        used = max(limit - found.available, inside if inside is not None else used)
        total = limit
    return Figures(
        cpu_percent=psutil.cpu_percent(None),
        memory_used=max(0, min(used, total)),
        memory_total=total,
        uptime=time.monotonic() - _STARTED,
    )


def oom_kills() -> int:
    """How often the kernel has killed for want of memory: in our groups, or since it booted."""
    count = cgroups.kills()
    if count is not None:
        return count
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
