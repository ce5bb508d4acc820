"""What events and progress cost: 1,000 tasks with bars and a watched picture, and without."""

from __future__ import annotations

import statistics
import threading
import time

from timing import report

import nbray
from nbray import session
from nbray.jupyter.waiting import progress


@nbray.remote
def small():
    return b"ok"


def batches(count):
    """Seconds of each of *count* batches."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        nbray.get([small.remote() for _ in range(1000)])
        times.append(time.perf_counter() - began)
    return times


def main():
    nbray.init(num_cpus=2)
    batches(30)
    plain, shown = [], []
    for _ in range(16):  # in alternation, for the machine's speed drifts
        plain += batches(30)
        progress.install()
        over = threading.Event()
        engine = session.require()

        def look(over=over, engine=engine):
            while not over.wait(0.25):
                engine.insight.snapshot()

        watcher = threading.Thread(target=look)
        watcher.start()
        shown += batches(30)
        over.set()
        watcher.join()
        progress.uninstall()
    ratio = statistics.median(shown) / statistics.median(plain)
    report("cost of events and progress", 100 * (ratio - 1))
    nbray.shutdown()


if __name__ == "__main__":
    main()
