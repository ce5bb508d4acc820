"""A node whose process was killed is noticed at once; one that is only cut off is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2e import cli
from e2e.netns import Machines, available
from harness import eventually, require_or_skip

from nbray.config import NODE_TIMEOUT

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]

WATCH = """
import sys, time
import nbray as ray
ray.init(sys.argv[1], _redis_password=sys.argv[2])
while True:
    print(sum(node["Alive"] for node in ray.nodes()), flush=True)
    time.sleep(0.05)
"""


class Three:
    """A head and two more nodes, and a driver beside the head that says how many are alive."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        self.nodes: list[psutil.Process] = []
        self.logs: list[Path] = []
        head = self._start(0, "--head", "--node-ip-address", machines.ips[0])
        line = cli.worker_line(head)
        for index in (1, 2):
            self._start(index, *line[1:])
        argv = [sys.executable, "-c", WATCH, f"{machines.ips[0]}:6379", cli.secret_of(line)]
        self.driver: Any = machines.popen(
            0, argv, env=cli.environment(), stdout=subprocess.PIPE
        )
        assert self.within(60, 3)

    def _start(self, index: int, *more: str) -> str:
        before = set(Path(os.environ["NBRAY_RUN_DIR"]).glob("*/record.json"))
        argv = [*cli.NBRAY, "start", *more, "--num-cpus=1"]
        done = self.machines.run(index, argv, env=cli.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        (record,) = set(Path(os.environ["NBRAY_RUN_DIR"]).glob("*/record.json")) - before
        self.logs.append(record.parent)
        root = json.loads(record.read_text())["root_pid"]
        self.nodes.append(cli.node_of(root))
        return done.stdout

    def within(self, seconds: float, wanted: int) -> bool:
        """Whether the driver counts so many nodes in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            line = self.driver.stdout.readline()
            if not line or int(line) == wanted:
                return bool(line)
        return False

    def log(self, index: int) -> str:
        """All that a machine's node has said."""
        return (self.logs[index] / "logs" / "node.log").read_text()

    def close(self) -> None:
        self.driver.kill()
        self.driver.wait()
        self.driver.stdout.close()
        for index in (2, 1, 0):
            self.machines.run(index, [*cli.NBRAY, "stop"], env=cli.environment())
        assert eventually(lambda: not any(map(self.machines.pids, range(3))))


@pytest.fixture(scope="module")
def three(_nothing_left: None) -> Iterator[Three]:
    reason = available()
    if reason:
        require_or_skip(reason)
    machines = Machines.make(3)
    try:
        made = Three(machines)
        time.sleep(1)  # ports have been looked at by then
        yield made
        made.close()
    finally:
        machines.close()


def test_a_cable_that_flaps_costs_nobody_his_place(three: Three) -> None:
    for _ in range(4):
        three.machines.cable(2, False)
        time.sleep(0.4)
        three.machines.cable(2, True)
        time.sleep(0.4)
    assert not three.within(1.5, 2)


def test_a_stopped_process_is_not_taken_for_a_dead_one(three: Three) -> None:
    three.nodes[2].send_signal(signal.SIGSTOP)
    assert not three.within(2.5, 2)
    three.nodes[2].send_signal(signal.SIGCONT)
    assert not three.within(0.5, 2)


def test_a_killed_node_is_noticed_at_once(three: Three) -> None:
    three.nodes[2].kill()
    assert three.within(NODE_TIMEOUT / 2, 2)


def test_who_is_left_notices_that_the_head_was_killed(three: Three) -> None:
    three.nodes[0].kill()
    assert eventually(lambda: "its process has ended" in three.log(1), NODE_TIMEOUT / 2)
