"""Notebooks that only import nbray, and load no extension: what tasks print has its place, too."""

from __future__ import annotations

import re
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
