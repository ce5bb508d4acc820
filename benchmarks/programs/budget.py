"""Where the microseconds of a no-op task go: in driver, worker, node and head.

CPU times of the processes come from the kernel, over 100,000 tasks; how a process's
share divides comes from a profile of it. The profiler slows small functions most, so
its parts are scaled to the measured sum: they say what weighs, not what it would save.
"""

from __future__ import annotations

import cProfile
import importlib
import pstats
import time
from pathlib import Path

import psutil
from timing import module_name, report, wanted

ray = importlib.import_module(module_name())
BATCH, BATCHES = 1000, 100
PARTS = {
    "submitting: function, spec, id, entry": (
        "calls.py", "remote.py", "engine.py", "session.py", "engine", "modules.py", "imports.py",
    ),
    "pickling": ("pickling.py", "pickle"),
    "references and counts": ("refs.py", "objects.py"),
    "queues, leases, results": ("tasks.py", "work.py", "tally.py", "client.py", "actors.py"),
    "messages and sockets": (
        "sockets.py", "readiness.py", "codec.py", "socket", "msgspec", "epoll", "messages.py",
    ),
    "waiting and the baton": (
        "loop.py", "memory.py", "api.py", "select", "threading.py", "lock", "progress.py",
    ),
    "running: queue, bracket, answer": (
        "executor.py", "worker.py", "output.py", "descriptors.py", "contextvars", "worker",
    ),
}  # fmt: skip
REST = "the rest of Python"


@ray.remote
def nothing():
    return None


@ray.remote
def profiled(on):
    """Have the worker's main thread profiled from now on; what was found."""
    import builtins

    if on:
        builtins.nbray_profile = cProfile.Profile()
        builtins.nbray_profile.enable()
        return None
    profile = builtins.nbray_profile
    profile.disable()
    return parts(profile)


def part_of(where):
    file, _, name = where
    stem = file.rpartition("/")[2] if file != "~" else name
    for part, marks in PARTS.items():
        if any(stem == mark or (file == "~" and mark in stem) for mark in marks):
            return part
    return REST


def parts(profile):
    """Seconds by part, sleeping in polls left out."""
    found = {}
    for where, (_, _, own, _, _) in pstats.Stats(profile).stats.items():
        if "'poll' of 'select" in where[2] or "sched_yield" in where[2]:
            continue
        part = part_of(where)
        found[part] = found.get(part, 0.0) + own
    return found


def batches(count):
    for _ in range(count):
        ray.get([nothing.remote() for _ in range(BATCH)])


def cpu(process):
    times = process.cpu_times()
    return times.user + times.system


def role(process):
    """What a child of this program is, by the log it writes to."""
    try:
        log = Path(f"/proc/{process.pid}/fd/2").readlink().name
    except OSError:
        return "other"
    return next((kind for kind in ("worker", "node", "head") if log.startswith(kind)), "other")


def main():
    ray.init(num_cpus=1)
    batches(20)
    me = psutil.Process()
    family = {process: role(process) for process in me.children(recursive=True)}
    before = {process: cpu(process) for process in [me, *family]}
    began = time.perf_counter()
    batches(BATCHES)
    wall = time.perf_counter() - began
    tasks = BATCH * BATCHES
    spent = {"driver": cpu(me) - before[me]}
    for process, kind in family.items():
        spent[kind] = spent.get(kind, 0.0) + cpu(process) - before[process]
    report("budget: wall", wall / tasks * 1e6)
    for kind in ("driver", "worker", "node", "head"):
        report(f"budget: {kind}", spent.get(kind, 0.0) / tasks * 1e6)
    ray.get(profiled.remote(True))
    profile = cProfile.Profile()
    profile.enable()
    batches(BATCHES // 2)
    profile.disable()
    there = ray.get(profiled.remote(False))
    for kind, found in (("driver", parts(profile)), ("worker", there)):
        whole = sum(found.values()) or 1.0
        for part in (*PARTS, REST):
            share = found.get(part, 0.0) / whole
            if wanted(f"budget: {kind}, {part}"):
                report(f"budget: {kind}, {part}", share * spent[kind] / tasks * 1e6)
    ray.shutdown()


if __name__ == "__main__":
    main()
