"""What a live panel costs the kernel, in percent of a core, beside an idle and a busy cluster.

In a real kernel, all its threads together: its CPU time while a panel moves, less the same
without one, in alternation. Busy: a trickle of tasks, so that every look finds new figures.
"""

from __future__ import annotations

import json
import statistics
import sys

from jupyter_client.manager import start_new_kernel
from timing import report

ROUNDS = 5
SECONDS = 2.0
BEGIN = """
import threading, time
from IPython.display import display
import nbray
nbray.init(num_cpus=2)

@nbray.remote
def tick():
    time.sleep(0.02)

def spent(seconds):
    '''CPU time of this process in percent, over some seconds.'''
    before, began = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    return 100 * (time.process_time() - before) / (time.perf_counter() - began)

def trickle(over):
    while not over.wait(0.1):
        nbray.get(tick.remote())

def with_panel(seconds):
    shown = nbray.panel()
    display(shown)
    time.sleep(0.5)
    try:
        return spent(seconds)
    finally:
        shown.close()
        time.sleep(0.5)
"""
LOOK = f"print([(spent({SECONDS}), with_panel({SECONDS})) for _ in range({ROUNDS})])"
LOAD = "over = threading.Event(); threading.Thread(target=trickle, args=(over,)).start()"
END = "over.set(); nbray.shutdown()"


def run(client, code):
    """Run a cell; what it printed.

    Raises:
        RuntimeError: it failed.
    """
    printed = []

    def take(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
        if message["msg_type"] == "error":
            raise RuntimeError(message["content"]["evalue"])

    client.execute_interactive(code, timeout=120, output_hook=take)
    return "".join(printed)


def main():
    manager, client = start_new_kernel()
    try:
        run(client, BEGIN)
        for row, before in (("panel beside an idle cluster", ""),
                            ("panel beside a busy cluster", LOAD)):  # fmt: skip
            run(client, before)
            pairs = json.loads(run(client, LOOK).replace("(", "[").replace(")", "]"))
            report(row, statistics.median(shown - plain for plain, shown in pairs))
            without = statistics.median(plain for plain, _ in pairs)
            print(f"NOTE {row}: {without:.2f} % of a core without it")
        run(client, END)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


if __name__ == "__main__":
    sys.exit(main())
