"""The owner's three programs, on this machine and over two."""

from __future__ import annotations

import os
import re
import sys
import time

import pytest
from e2e import cli
from e2e.netns import HEAD_IP, WORKER_IP, TwoMachines
from harness import eventually, marked

ATTEMPTS = 6
SLOWEST = 1.15 if "PYTEST_XDIST_WORKER" not in os.environ else 2.5
"""Times the ideal that the two-machine program may take: the acceptance's own bound, where no
other files of tests run beside it."""


def test_the_copies_are_the_owners_programs() -> None:
    if not cli.BESIDE.exists():
        return
    for path in cli.BESIDE.glob("*.py"):
        assert path.read_bytes() == (cli.PROGRAMS / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("name", "line"), [("squares.py", "[0, 1, 4, 9]"), ("counters.py", "[3, 3, 3, 3]")]
)
def test_one_machine(name: str, line: str) -> None:
    done = cli.python(cli.program(name), "nbray")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [line]
    assert "Traceback" not in done.stderr


def plain_loop() -> float:
    """Seconds that the same ten thousand sleeps take in a plain loop on this machine."""
    started = time.perf_counter()
    for _ in range(10_000):
        time.sleep(0.001)
    return time.perf_counter() - started


def spread(machines: TwoMachines, secret: str) -> tuple[float, float, bool]:
    """Run the two-machine program once and check its lines; (seconds, CPUs, shared evenly)."""
    path = str(cli.program("spread.py"))
    argv = [sys.executable, path, "nbray", f"{HEAD_IP}:6379", secret]
    done = machines.run(machines.head, argv, timeout=150, env=cli.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    first, total, *shares, host = done.stdout.splitlines()
    cpus = re.fullmatch(r"2 nodes, ([\d.]+) CPUs in total", first)
    took = re.fullmatch(r"10000 tasks in ([\d.]+) s", total)
    assert cpus and took, done.stdout
    ran = dict(re.fullmatch(r" {4}(\d+) tasks on (\S+)", line).group(2, 1) for line in shares)
    assert set(ran) == {HEAD_IP, WORKER_IP}, done.stdout
    counts = {address: int(count) for address, count in ran.items()}
    assert sum(counts.values()) == 10_000
    assert host.startswith("host name: ")
    evenly = all(4_000 <= count <= 6_000 for count in counts.values())
    return float(took[1]), float(cpus[1]), evenly


@pytest.mark.netns
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_machines(machines: TwoMachines, mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    start = [*cli.NBRAY, "start", "--head", "--node-ip-address", HEAD_IP]
    try:
        head = machines.run(machines.head, start, env=cli.environment())
        assert head.returncode == 0, head.stdout + head.stderr
        line = cli.worker_line(head.stdout)
        assert f"--address={HEAD_IP}:6379" in line
        joined = machines.run(machines.worker, [*cli.NBRAY, *line], env=cli.environment())
        assert joined.returncode == 0, joined.stdout + joined.stderr

        ratios: list[float] = []
        good = False
        while len(ratios) < ATTEMPTS and not good:
            loop = plain_loop()
            seconds, cpus, evenly = spread(machines, cli.secret_of(line))
            ratios.append(seconds / (loop / cpus))
            good = evenly and ratios[-1] < SLOWEST
        with capsys.disabled():
            shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"\nspread over two machines: {shown} times the ideal", end=" ")
        assert good, "never so soon and so evenly"
    finally:
        stopped = [
            machines.run(name, [*cli.NBRAY, "stop"], env=cli.environment())
            for name in (machines.worker, machines.head)
        ]
    assert [done.returncode for done in stopped] == [0, 0], [done.stderr for done in stopped]
    assert eventually(lambda: not machines.pids()), machines.pids()
    assert eventually(lambda: not marked(mark)), marked(mark)
