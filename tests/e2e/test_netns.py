"""The two machines themselves: they see each other, can be parted, and leave nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from e2e.netns import HEAD_IP, WORKER_IP, TwoMachines

pytestmark = pytest.mark.netns


def test_the_two_see_each_other(machines: TwoMachines) -> None:
    program = (
        "import socket, sys; s = socket.create_server(('0.0.0.0', 9000)); print('up', flush=True);"
        "c, peer = s.accept(); print(peer[0])"
    )
    server = machines.popen(
        machines.head, ["python3", "-u", "-c", program], stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "up\n"
    dial = f"import socket; socket.create_connection(('{HEAD_IP}', 9000), 60)"
    assert machines.run(machines.worker, ["python3", "-c", dial]).returncode == 0
    assert server.stdout.readline().strip() == WORKER_IP
    assert server.wait(60) == 0
    server.stdout.close()


def test_closing_ends_what_runs_inside(machines: TwoMachines) -> None:
    child = machines.popen(machines.worker, ["sleep", "600"])
    machines.close()
    assert child.wait(60) != 0
    assert not Path("/run/netns", machines.worker).exists()
    machines.close()
