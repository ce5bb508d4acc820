"""Commands, and what they start in turn, end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from harness import eventually

from nbray.hosting.watched_commands import ended, under_watch

STARTER = """
import subprocess, sys, time
from nbray.hosting.watched_commands import under_watch
subprocess.Popen(under_watch(sys.argv[1]), stdin=subprocess.PIPE, start_new_session=True)
time.sleep(100)
"""


def started(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(under_watch(command), stdin=subprocess.PIPE, start_new_session=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_command_has_started_ends_with_who_started_the_command(
    tmp_path: Path, number: int
) -> None:
    path = tmp_path / "pid"
    inner = f"sleep 100 & echo $! > {path}; wait"
    starter = subprocess.Popen([sys.executable, "-c", STARTER, f"sh -c '{inner}'"])
    assert eventually(lambda: path.exists() and path.read_text().strip())
    pid = int(path.read_text())
    os.kill(starter.pid, number)
    starter.wait()
    assert eventually(lambda: not psutil.pid_exists(pid))


def test_its_end_is_its_own(tmp_path: Path) -> None:
    process = started(f"cat > {tmp_path}/input; exit 7")
    assert process.wait(20) == 7
    ended(process)
    assert (tmp_path / "input").read_text() == "", "its input is empty"
