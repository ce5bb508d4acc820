"""Stop: seconds from the interrupt until the cell has ended and every worker is free again.

Two nodes of two CPUs, four tasks that run for a minute, a real kernel that is interrupted as
the Stop button does it. Free: four tasks that wait for one another have run in the next cell
(of actors: each has answered another call).
"""

from __future__ import annotations

import statistics
import time

from jupyter_client.manager import start_new_kernel
from timing import report, wanted

TIMES = 5
LIMIT = 60
BEGIN = """
%load_ext nbray
%nbray start --cpus 2
import shlex, subprocess, sys, time
import numpy as np

line = %nbray join
second = subprocess.Popen(
    [sys.executable, "-m", "nbray.cli", *shlex.split(line)[1:],
     "--node-ip-address=127.0.0.2", "--num-cpus=2", "--block"],
    stdout=subprocess.DEVNULL, start_new_session=True)
deadline = time.time() + 60
while len(nbray.nodes()) < 2 and time.time() < deadline:
    time.sleep(0.1)

@remote(num_cpus=0)
class Meeting:
    def __init__(self):
        self.there = {}

    def arrive(self, name):
        self.there[name] = self.there.get(name, 0) + 1

    def count(self, name):
        return self.there.get(name, 0)

def meet(meeting, name):
    nbray.get(meeting.arrive.remote(name))
    while nbray.get(meeting.count.remote(name)) < 4:
        time.sleep(0.002)

def sleeps():
    time.sleep(60)

def loops():
    until = time.time() + 60
    while time.time() < until:
        pass

def convolves():
    np.convolve(np.ones(1 << 20), np.ones(1 << 20))  # one call, which looks at no signal

@remote
def work(meeting, name, what):
    meet(meeting, name)
    what()

@remote
def free(meeting, name):
    meet(meeting, name)

@remote
class Works:
    def work(self, meeting, name):
        meet(meeting, name)
        sleeps()

    def answer(self):
        return True

meeting = Meeting.remote()
nbray.get([free.remote(meeting, "all") for _ in range(4)])
"""
TASKS = "refs = [work.remote(meeting, {name!r}, {what}) for _ in range(4)]"
FREE = "nbray.get([free.remote(meeting, {name!r} + ' free') for _ in range(4)])"
ACTORS = "actors = [Works.remote() for _ in range(4)]"
CALLS = "refs = [actor.work.remote(meeting, {name!r}) for actor in actors]"
ANSWER = "nbray.get([actor.answer.remote() for actor in actors])"
RUN = """
while nbray.get(meeting.count.remote({name!r})) < 4:
    time.sleep(0.01)
print("all run")
nbray.get(refs)
"""
ROWS = {
    "Stop of time.sleep": ("sleeps", "", TASKS, FREE),
    "Stop of a Python loop": ("loops", "", TASKS, FREE),
    "Stop of a numpy call": ("convolves", "", TASKS, FREE),
    "Stop of an actor's method": ("", ACTORS, CALLS, ANSWER),
}


def until(client, cell, kind, name, value):
    """Read until a message of this kind comes under *cell*."""
    while True:
        message = client.get_iopub_msg(timeout=LIMIT)
        if (message["parent_header"].get("msg_id") == cell and message["msg_type"] == kind
                and value in message["content"][name]):  # fmt: skip
            return


def run(client, code):
    """Run a cell.

    Raises:
        RuntimeError: it failed.
    """

    def look(message):
        if message["msg_type"] == "error":
            raise RuntimeError(message["content"]["evalue"])

    client.execute_interactive(code, timeout=LIMIT, output_hook=look)


def stop(manager, client, name, what, work, free):
    """Seconds to the cell's end, and to free workers."""
    cell = client.execute((work + RUN).format(name=name, what=what))
    until(client, cell, "stream", "text", "all run")
    time.sleep(0.5)
    began = time.perf_counter()
    manager.interrupt_kernel()
    until(client, cell, "status", "execution_state", "idle")
    over = time.perf_counter() - began
    run(client, free.format(name=name))
    return over, time.perf_counter() - began


def main():
    manager, client = start_new_kernel()
    try:
        run(client, BEGIN)
        for row, (what, before, work, free) in ROWS.items():
            if not wanted(row):
                continue
            run(client, before)
            times = [
                stop(manager, client, f"{row} {number}", what, work, free)
                for number in range(TIMES)
            ]
            report(row, statistics.median(seconds for _, seconds in times))
            cell = statistics.median(seconds for seconds, _ in times)
            print(f"NOTE {row}: the cell ended after {cell:.2f} s")
            run(client, "actors = None")
        run(client, "%nbray stop\nsecond.terminate(); second.wait(30)")
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


if __name__ == "__main__":
    main()
