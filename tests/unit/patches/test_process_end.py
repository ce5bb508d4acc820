"""What is done before a process ends itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nbray.patches import process_end

ENDING = """
import os, signal, sys
from nbray.patches import process_end
def say():
    os.write(1, b"first")
    if "again" in sys.argv: os._exit(4)
    if "bad" in sys.argv: 1 / 0
process_end.first(say)
{}
"""


@pytest.mark.parametrize(
    ("line", "status"), [("os._exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", -9)]
)
@pytest.mark.parametrize("how", ["plain", "bad"])
def test_the_step_comes_first(line, status, how):
    run = [sys.executable, "-c", ENDING.format(line), how]
    ended = subprocess.run(run, capture_output=True, check=False)
    assert (ended.stdout, ended.returncode) == (b"first", status)


def test_a_step_that_ends_the_process_is_not_taken_again():
    run = [sys.executable, "-c", ENDING.format("os._exit(3)"), "again"]
    assert subprocess.run(run, capture_output=True, check=False).returncode == 4


def test_a_process_that_handles_its_signal_takes_the_step_again_at_its_end():
    line = (
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\nos._exit(3)"
    )
    run = [sys.executable, "-c", ENDING.format(line), "plain"]
    ended = subprocess.run(run, capture_output=True, check=False)
    assert (ended.stdout, ended.returncode) == (b"firstfirst", 3)


def test_a_forked_process_has_no_step():
    line = "pid = os.fork()\nif not pid: os._exit(5)\nprint(os.waitpid(pid, 0)[1] >> 8)"
    run = [sys.executable, "-c", ENDING.format(line), "plain"]
    assert subprocess.run(run, capture_output=True, check=False).stdout == b"5\n"


def test_others_may_be_asked_whether_they_live():
    before = os.kill
    process_end.first(lambda: pytest.fail("nobody ends"))
    try:
        os.kill(os.getpid(), 0)
    finally:
        process_end.no_longer()
    assert os.kill is before
