"""A million tasks, against a thousand: microseconds for each, and the driver's memory.

Memory is what the driver's USS grows by while the tasks wait behind two that
hold the CPUs; time is that of submission and results together, nothing held.
"""

from __future__ import annotations

import gc
import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from timing import module_name, report, wanted

ray = importlib.import_module(module_name())
SIZES = (1_000, 100_000, 1_000_000)


@ray.remote
def nothing():
    return None


@ray.remote
def hold(path):
    while not Path(path).exists():
        time.sleep(0.01)


def micros(size):
    """Microseconds a task, from the first submission to the last result."""
    began = time.perf_counter()
    ray.get([nothing.remote() for _ in range(size)])
    return (time.perf_counter() - began) / size * 1e6


def pending(size):
    """Bytes of the driver's memory for each pending task."""
    me = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder, "gate")
        holders = [hold.remote(str(gate)) for _ in range(2)]
        time.sleep(0.3)
        gc.collect()
        before = me.memory_full_info().uss
        refs = [nothing.remote() for _ in range(size)]
        time.sleep(0.3)
        grown = me.memory_full_info().uss - before
        gate.touch()
        ray.get(holders)
        ray.get(refs)
    return grown / size


def alone(row):
    """Measure one row in a process of its own: freed memory that is used again would hide."""
    subprocess.run([sys.executable, __file__, module_name(), row], check=True)


def main():
    if len(sys.argv) == 3 and "memory" in sys.argv[2]:
        ray.init(num_cpus=2)
        ray.get(nothing.remote())
        report(sys.argv[2], pending(int(sys.argv[2].rpartition(" ")[2].replace(",", ""))))
        ray.shutdown()
        return
    for size in SIZES:
        row = f"driver memory per pending task at {size:,}"
        if wanted(row):
            alone(row)
    ray.init(num_cpus=2)
    ray.get([nothing.remote() for _ in range(2000)])
    for size in SIZES:
        row = f"time per task at {size:,}"
        if wanted(row):
            report(row, statistics.median(micros(size) for _ in range(max(1, 20_000 // size))))
    ray.shutdown()


if __name__ == "__main__":
    main()
