"""Who prints faster than it is shown waits: memory stays bounded, and no line is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2e import cli

PROGRAM = """
import os, sys, time, threading
import nbray as ray
from nbray import session

way, total = sys.argv[1], int(sys.argv[2])
ray.init(num_cpus=1, include_dashboard=False)
seen, odd, tail = 0, 0, ""

def sink(event):
    global seen, odd, tail
    *lines, tail = (tail + event.text).split("\\n")
    for line in lines:
        if line[:9] != f"{seen:09}":
            odd += 1
        seen += 1

session.current().cells.on_output(sink)

def python(total):
    for number in range(total):
        print(f"{number:09}" + "x" * 990)

def pieces(total):
    for first in range(0, total, 5000):
        print("\\n".join(f"{n:09}" + "x" * 990 for n in range(first, first + 5000)))

def past(total):
    for number in range(total):
        os.write(1, (f"{number:09}" + "x" * 990 + "\\n").encode())

def threads(total):
    worker = threading.Thread(target=python, args=(total,))
    worker.start()
    worker.join()

work = ray.remote({"python": python, "pieces": pieces, "past": past, "threads": threads}[way])
pid = ray.get(ray.remote(os.getpid).remote())
ref = work.remote(total)
print(pid, flush=True)
ray.get(ref)
deadline = time.monotonic() + 120
while seen < total and time.monotonic() < deadline:
    time.sleep(0.02)
print(seen, odd, flush=True)
"""
MOST = 24 << 20
"""Bytes by which a process may grow while 80 MB are printed."""


@pytest.mark.parametrize("way", ["python", "pieces", "past", "threads"])
def test_a_stopped_driver_is_waited_for_and_nothing_is_lost(way: str, tmp_path: Path) -> None:
    total = 80_000
    argv = [sys.executable, "-c", PROGRAM, way, str(total)]
    driver: Any = subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=cli.environment(), cwd=tmp_path
    )
    try:
        worker = psutil.Process(int(driver.stdout.readline()))
        before = {one: one.memory_info().rss for one in (worker, psutil.Process(driver.pid))}
        os.kill(driver.pid, signal.SIGSTOP)
        grown = 0
        for _ in range(8):
            time.sleep(0.1)
            grown = max(grown, *(_grown(before)))
        os.kill(driver.pid, signal.SIGCONT)
        while driver.poll() is None and worker.is_running():
            grown = max(grown, *(_grown(before)))
            time.sleep(0.05)
        seen, odd = driver.stdout.readline().split()
        assert (int(seen), int(odd)) == (total, 0)
        assert grown < MOST, f"{grown >> 20} MB"
        assert driver.wait(60) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(driver.pid, signal.SIGCONT)
        driver.kill()
        driver.wait()
        driver.stdout.close()


def _grown(before: dict[psutil.Process, int]) -> list[int]:
    found = [0]
    for process, start in before.items():
        with contextlib.suppress(psutil.Error):
            found.append(process.memory_info().rss - start)
    return found


LAUNCH = """
import nbray as ray
ray.init("auto", namespace="n")

@ray.remote(lifetime="detached", name="talker", num_cpus=0)
class Talker:
    def talk(self, megabytes):
        for _ in range(megabytes * 10):
            print("x" * 99_999)
        return megabytes

talker = Talker.remote()
ray.get(talker.talk.remote(0))
talker.talk.remote(30)
"""
FIND = """
import nbray as ray
ray.init("auto", namespace="n", log_to_driver=False)
print(ray.get(ray.get_actor("talker").talk.remote(3), timeout=60))
"""


def test_nobody_waits_for_a_driver_that_has_ended() -> None:
    started = cli.nbray("start", "--head", "--num-cpus=1", "--port=0")
    assert started.returncode == 0, started.stderr
    try:
        launched = cli.run([sys.executable, "-c", LAUNCH])
        assert launched.returncode == 0, launched.stderr
        found = cli.run([sys.executable, "-c", FIND])
        assert found.stdout == "3\n", found.stderr
    finally:
        assert cli.nbray("stop").returncode == 0
