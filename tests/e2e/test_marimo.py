"""The interrupt of marimo, by a stand-in: cells in files named as its own are, and SIGINT."""

from __future__ import annotations

import subprocess
import sys

import pytest
from e2e import cli

PROGRAM = """
import os, signal, sys, threading, time, types
sys.modules["marimo"] = types.ModuleType("marimo")
def handler(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGINT, handler)
import nbray
nbray.init(num_cpus=2)
@nbray.remote(max_retries=0)
def nap(seconds):
    time.sleep(seconds)
    return "slept"
refs = [nap.remote(0)]
nbray.get(refs)  # workers are there
CODE = '''
refs = [nap.remote(60) for _ in range(3)]
{launch}
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
{wait}
'''
begun = time.monotonic()
try:
    exec(compile(CODE, "/tmp/marimo_1/{file}", "exec"), globals())
except KeyboardInterrupt:
    print("interrupted")
for ref in refs:
    try:
        print(nbray.get(ref, timeout={timeout}))
    except nbray.exceptions.GetTimeoutError:
        print("runs")
    except nbray.exceptions.RayError as error:
        print("cancelled" if isinstance(error, nbray.exceptions.TaskCancelledError) else error)
print("within", time.monotonic() - begun < 50)
print(nbray.get(nap.remote(0)) if {timeout} > 1 else "")
"""
STOPPED = ["interrupted", *["cancelled"] * 3, "within True", "slept"]


def run(
    wait: str, launch: str = "", file: str = "__marimo__cell_Hbol_.py", timeout: float = 60
) -> list[str]:
    code = PROGRAM.format(wait=wait, launch=launch, file=file, timeout=timeout)
    done = subprocess.run(
        [sys.executable, "-c", code], env=cli.environment(), capture_output=True, text=True,
        timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("launch", "wait"),
    [
        ("", "nbray.get(refs)"),
        ("", "time.sleep(60)"),
        ("def helper(): nbray.wait(refs, num_returns=3)", "helper()"),
    ],
)
def test_an_interrupted_cell_ends_the_notebooks_work(launch: str, wait: str) -> None:
    assert run(wait, launch) == STOPPED


def test_an_interrupt_between_cells_ends_nothing() -> None:
    said = run("time.sleep(60)", file="marimo/_runtime/runtime.py", timeout=0.3)
    assert said[:4] == ["interrupted", *["runs"] * 3]
