"""Three machines whose cables are pulled and that fall asleep, under work whose results are known.

A sample; `make apart` (NBRAY_TEST_APART=10) does it ten times, for up to a minute each.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import cli
from e2e.netns import Machines, available
from harness import eventually, require_or_skip

TIMES = int(os.environ.get("NBRAY_TEST_APART", "0"))
SEED = int(os.environ.get("NBRAY_TEST_SEED", "1"))
PROGRAM = Path(__file__).parent / "programs" / "apart.py"
AFTER = 30.0 if TIMES else 120.0
"""Seconds after a fault in which everything has its result or a named error."""
WHOLE = AFTER
"""Seconds after a fault in which `nbray status` shows every machine (they are back after two; the
command itself takes several when others use the CPUs)."""

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(600 + 200 * TIMES)]


class Cluster:
    """A head without much to do on machine 0, two nodes, and `apart.py` on machine 0."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        head = ["--head", "--node-ip-address", machines.ips[0], "--num-cpus=1"]
        self.line = cli.worker_line(self._nbray(0, "start", *head))
        for index in (1, 2):
            resources = json.dumps({f"at{index}": 1})
            self._nbray(index, *self.line, "--num-cpus=2", f"--resources={resources}")
        self.process: subprocess.Popen[str] | None = None

    def _nbray(self, index: int, *argv: str) -> str:
        done = self.machines.run(index, [*cli.NBRAY, *argv], env=cli.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def work(self) -> None:
        """Start the program."""
        address, secret = f"{self.machines.ips[0]}:6379", cli.secret_of(self.line)
        self.process = self.machines.popen(
            0, [sys.executable, str(PROGRAM), address, secret],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=cli.environment(),
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "on\n"

    def outcome(self) -> dict[str, Any]:
        """End the program; what it has counted. Fails if it does not end."""
        assert self.process is not None
        try:
            out, _ = self.process.communicate("\n", timeout=AFTER)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(1)
            raise
        self.process = None
        counted: dict[str, Any] = json.loads(out)
        assert counted["rounds"]
        assert not counted["wrong"], counted
        return counted

    def is_whole(self) -> bool:
        """Whether all three machines are there, as `nbray status` says."""
        shown = self._nbray(0, "status")
        return all(f"{ip}, up" in shown for ip in self.machines.ips)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        for index in (2, 1, 0):
            self._nbray(index, "stop")


@pytest.fixture(scope="module")
def cluster(mark: str) -> Iterator[Cluster]:
    reason = available()
    if reason:
        require_or_skip(reason)
    machines = Machines.make(3)
    try:
        made = Cluster(machines)
        try:
            yield made
        finally:
            made.close()
    finally:
        machines.close()


def seconds(sample: float) -> float:
    """How long a fault lasts."""
    return 1 + 59 * random.random() if TIMES else sample


@pytest.mark.parametrize("time_", range(TIMES or 1))
def test_two_of_three_machines_apart_and_nobody_notices(cluster: Cluster, time_: int) -> None:
    random.seed(f"{SEED}.{time_}")
    pair = random.choice([(0, 1), (0, 2), (1, 2)]) if TIMES else (1, 2)
    cluster.work()
    time.sleep(random.random())
    cluster.machines.part(pair, True)
    time.sleep(seconds(9))
    cluster.machines.part(pair, False)
    time.sleep(random.random())
    counted = cluster.outcome()
    assert not counted["errors"], (pair, counted)
    assert cluster.is_whole()


@pytest.mark.parametrize("lasts", [20, 60] if TIMES else [9])
def test_a_head_that_sleeps_is_waited_for(cluster: Cluster, lasts: int) -> None:
    cluster.work()
    sleepers = cluster.machines.pids(0)
    for pid in sleepers:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(lasts)
    for pid in sleepers:
        os.kill(pid, signal.SIGCONT)
    assert eventually(cluster.is_whole, WHOLE)
    assert not cluster.outcome()["errors"]


@pytest.mark.skipif(not TIMES, reason="takes half a minute: make apart")
@pytest.mark.parametrize("machine", [1, 2])
def test_a_machine_that_was_counted_out_is_told_by_whom_it_reaches(
    cluster: Cluster, machine: int
) -> None:
    machines = cluster.machines
    argv = [
        sys.executable, str(PROGRAM.with_name("told.py")), f"at{3 - machine}",
        f"{machines.ips[0]}:6379", cli.secret_of(cluster.line),
    ]  # fmt: skip
    process = machines.popen(
        machine, argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.environment()
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        machines.part((0, machine), True)
        machines.cable(machine, False)
        time.sleep(12)
        machines.cable(machine, True)  # it still has no way to the head
        _, said = process.communicate(timeout=AFTER)
        assert "this machine has lost the cluster" in said
        assert "as node" in said
    finally:
        process.kill()
        process.communicate()
        machines.part((0, machine), False)
    assert eventually(cluster.is_whole, WHOLE)


@pytest.mark.parametrize("lasts", [40, 120] if TIMES else [10])
@pytest.mark.parametrize("machine", [0, 1] if TIMES else [0])
def test_machines_that_were_cut_off_join_again(
    cluster: Cluster, machine: int, lasts: int
) -> None:
    cluster.work()
    cluster.machines.cable(machine, False)
    time.sleep(lasts)
    cluster.machines.cable(machine, True)
    assert eventually(cluster.is_whole, WHOLE)
    cluster.outcome()
    cluster.work()
    time.sleep(1)
    assert not cluster.outcome()["errors"]
