"""Notebooks that only import nbray, and load no extension: prints have their place, Stop stops."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from e2e.front import Front, running

SETUP = """
import time, nbray, nbray.util
@nbray.remote
def f(i):
    time.sleep(0.3); print('line', i)
@nbray.remote
class Actor:
    def g(self, i):
        time.sleep(0.1); print('line', i)
"""
WORK = {
    "tasks": "nbray.get([f.remote(i) for i in range(8)])",
    "an actor": "actor = Actor.remote()\nnbray.get([actor.g.remote(i) for i in range(8)])",
    "a map": "list(nbray.util.map(lambda i: (time.sleep(0.2), print('line', i)), range(8)))",
}


@pytest.fixture(scope="module")
def kernel() -> Iterator[Front]:
    with running(SETUP) as (front, _):
        front.run("nbray.init(num_cpus=2)")
        yield front


@pytest.mark.parametrize("how", WORK)
def test_lines_are_under_their_cell_and_not_between_its_bars(kernel: Front, how: str) -> None:
    answer = kernel.run(WORK[how])
    if any(f"line {i}" not in answer.text for i in range(8)):
        kernel.until(lambda _: all(f"line {i}" in answer.text for i in range(8)))
    assert not answer.error, answer.traceback
    assert answer.streams == "", "all of it is in the display"
    assert sorted(re.findall(r"line (\d)$", answer.printed, re.MULTILINE)) == list("01234567")
    assert "pid=" not in answer.text


SLOW = """
@nbray.remote
def slow():
    time.sleep(60)
print("go", flush=True)
nbray.get([slow.remote() for _ in range(4)])
"""
LEFT = """
from nbray import session
until = time.monotonic() + 60
views = lambda: session.current().insight.snapshot().cells.values()
busy = lambda: sum(not one.finished for one in views())
while busy() and time.monotonic() < until: time.sleep(0.05)
busy()
"""


def test_stop_ends_the_work_of_its_cell_that_of_the_first_one_too() -> None:
    with running(SETUP) as (front, _):
        for code in ("nbray.init(num_cpus=2)" + SLOW, SLOW):
            answer = front.start(code)
            front.until(lambda _, answer=answer: "go" in answer.streams)
            time.sleep(0.5)
            front.manager.interrupt_kernel()
            front.finish(answer)
            assert answer.error == "KeyboardInterrupt"
            left = front.run(LEFT)
            assert left.result == "0", left.traceback
