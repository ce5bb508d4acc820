"""Nothing that user code can make is so large that it ends another process, on three machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import cli
from e2e.netns import Machines, available
from harness import eventually, require_or_skip

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]

PROGRAM = Path(__file__).parent / "programs" / "large.py"
SMALL, MIDDLE, LARGE, HUGE = 1_000, 2_000_000, 70_000_000, 200_000_000
LARGEST_DEFINITION = 95_000_000
"""Larger ones are refused, as by Ray."""
STORE = 700_000_000


class Driver:
    """The program `large.py` on one of the machines."""

    def __init__(self, machines: Machines, at: int, address: str, secret: str) -> None:
        argv = [sys.executable, str(PROGRAM), address, secret]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = machines.popen(at, argv, env=cli.environment(), **pipes)
        self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the driver ended: {self.process.poll()}"
        return str(line)

    def ask(self, kind: str, size: int, machine: int) -> Any:
        """What came of *kind* at *size* when it ran on *machine*."""
        assert self.process.stdin is not None
        print(json.dumps([kind, size, machine]), file=self.process.stdin, flush=True)
        return json.loads(self._line())[0]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class Cluster:
    """Nodes on three machines, and a driver on the first and on the second."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        head = self._start(0, "--head", "--node-ip-address", machines.ips[0])
        line = cli.worker_line(head)
        for index in (1, 2):
            self._start(index, *line[1:])
        secret = cli.secret_of(line)
        address = f"{machines.ips[0]}:6379"
        self.drivers = [Driver(machines, at, address, secret) for at in (0, 1)]
        self.first = self.servants()
        """Roots, nodes and head: they never end."""

    def _start(self, index: int, *more: str) -> str:
        limits = ["--num-cpus=1", f"--object-store-memory={STORE}"]
        resources = json.dumps({f"m{index}": 100})
        argv = [*cli.NBRAY, "start", *more, *limits, f"--resources={resources}"]
        done = self.machines.run(index, argv, env=cli.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def servants(self) -> set[int]:
        """The root of each machine, with its head and node; workers and drivers come and go."""
        found: set[int] = set()
        for record in Path(os.environ["NBRAY_RUN_DIR"]).glob("*/record.json"):
            root = json.loads(record.read_text())["root_pid"]
            children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
            # Head and node are the first that root forks.
            found |= {root, *map(int, children[: 2 if self._is_head(record) else 1])}
        return found

    @staticmethod
    def _is_head(record: Path) -> bool:
        return bool(json.loads(record.read_text())["head"])

    def ask(self, kind: str, size: int, driver: int, machine: int) -> Any:
        """As `Driver.ask`; afterwards all are alive who were at the beginning."""
        answer = self.drivers[driver].ask(kind, size, machine)
        gone = [pid for pid in self.first if not Path("/proc", str(pid)).exists()]
        assert not gone, f"ended: {gone} of {self.first}"
        return answer

    def close(self) -> None:
        for driver in self.drivers:
            driver.close()
        for index in (2, 1, 0):
            self.machines.run(index, [*cli.NBRAY, "stop"], env=cli.environment())
        assert eventually(lambda: not any(map(self.machines.pids, range(3))))


@pytest.fixture(scope="module")
def cluster(_nothing_left: None) -> Iterator[Cluster]:
    reason = available()
    if reason:
        require_or_skip(reason)
    machines = Machines.make(3)
    try:
        made = Cluster(machines)
        yield made
        made.close()
    finally:
        machines.close()


PRINTS = {"a_print": "stdout", "lines_on_stderr": "stderr", "past_python": "stdout"}
WHOLE = [*PRINTS, "a_result", "many_results", "an_argument", "many_arguments", "an_init_argument",
         "a_function", "a_class", "a_docstring"]  # fmt: skip
ERRORS = {
    "an_error": "ValueError", "an_error_with_data": "KeyError", "a_group": "RayTaskError",
    "an_init_error": "ActorDiedError",
}  # fmt: skip
NAMES = ["an_actor_name", "a_name_to_look_for", "a_resource_name"]
DEFINITIONS = ["a_function", "a_class"]
PATHS = [(0, 1), (1, 2), (1, 0)]
"""(whose driver, where the work runs)."""


def whole(kind: str, size: int) -> int:
    """What *kind* answers if nothing is lost."""
    parts = {"lines_on_stderr": 100, "many_results": 64, "many_arguments": 100}.get(kind, 1)
    return size // parts * parts


@pytest.mark.parametrize("size", [SMALL, MIDDLE])
@pytest.mark.parametrize("kind", WHOLE)
def test_it_arrives_whole(cluster: Cluster, kind: str, size: int) -> None:
    for driver, machine in PATHS:
        assert cluster.ask(kind, size, driver, machine) == whole(kind, size)


@pytest.mark.parametrize("size", [SMALL, MIDDLE])
@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_arrives_as_what_it_is(cluster: Cluster, kind: str, size: int) -> None:
    for driver, machine in PATHS:
        assert ERRORS[kind] in cluster.ask(kind, size, driver, machine)["error"]


@pytest.mark.parametrize("kind", ["a_task_name", "a_function_name", "a_display", "an_odd_display"])
def test_what_is_only_shown_is_shortened(cluster: Cluster, kind: str) -> None:
    for driver, machine in PATHS:
        answer = cluster.ask(kind, MIDDLE, driver, machine)
        if kind == "a_function_name":
            assert "ValueError" in answer["error"]
        else:
            assert answer == {"a_task_name": 6, "a_display": MIDDLE}.get(kind, 16)


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_to_find_something_by_is_bounded(cluster: Cluster, kind: str) -> None:
    for driver, machine in PATHS:
        answer = cluster.ask(kind, MIDDLE, driver, machine)
        assert "ValueError" in answer["error"]
        assert "10,000" in answer["text"]
    if kind == "an_actor_name":
        assert cluster.ask(kind, SMALL, 1, 2) == 7


def test_classes_to_retry_travel_with_the_task(cluster: Cluster) -> None:
    assert cluster.ask("classes_to_retry", MIDDLE, 1, 2) == 7


@pytest.mark.parametrize(
    "kind", ["a_print", "past_python", "a_result", "an_argument", "an_error", "an_init_error"]
)
def test_seventy_megabytes(cluster: Cluster, kind: str) -> None:
    answer = cluster.ask(kind, LARGE, 1, 2)
    assert answer == LARGE or ERRORS[kind] in answer["error"]


@pytest.mark.skipif(not os.environ.get("NBRAY_TEST_LARGE"), reason="`make large` runs it")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["a_print", "a_display", "a_result", "an_argument", "an_error",
                                  "an_init_error", "a_function", "a_class"])  # fmt: skip
def test_two_hundred_megabytes(cluster: Cluster, kind: str, path: tuple[int, int]) -> None:
    answer = cluster.ask(kind, HUGE, *path)
    if kind in ERRORS:
        assert ERRORS[kind] in answer["error"]
    elif kind in DEFINITIONS:
        assert "ValueError" in answer["error"]
        assert "FUNCTION_SIZE_ERROR_THRESHOLD=95 MiB" in answer["text"]
        assert cluster.ask(kind, LARGEST_DEFINITION, *path) == LARGEST_DEFINITION
    else:
        assert answer == HUGE or kind == "a_display"
