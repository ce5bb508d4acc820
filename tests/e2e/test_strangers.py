"""Whoever can connect, and no more, disturbs nobody: silence, nonsense, floods at a node's port."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import cli
from harness import eventually, private_folder

from nbray.config import MAX_FRAME, STRANGERS
from nbray.exceptions import AuthenticationError
from nbray.runtime.shell.network.probe import probe
from nbray.wire.secret import Secret

GREETING = b"\xff" + b"\x00" * 8 + b"\x7f\x03\x01CURVE" + b"\x00" * 47
HUGE = GREETING + b"\x06" + (60 << 20).to_bytes(8, "big") + b"x" * 100_000
LARGE = GREETING + b"\x06" + (MAX_FRAME - 100).to_bytes(8, "big") + b"x" * 900_000
QUIET = [b"", b"\xff", GREETING[:11], GREETING]
LOUD = [b"GET / HTTP/1.1\r\n\r\n", os.urandom(300), HUGE]
WORK = """
import sys, time
import nbray as ray
ray.init(sys.argv[1], _redis_password=sys.argv[2])
square = ray.remote(lambda x: x * x)
for line in sys.stdin:
    print(sum(ray.get([square.remote(i) for i in range(100)])), flush=True)
"""


class Served:
    """A head at a loopback address, a second node, and a driver; few descriptors if so wished."""

    def __init__(self, descriptors: int = 0) -> None:
        self.folder = private_folder("nbt-")
        self.run_dir = str(self.folder / "run")
        limit = f"ulimit -n {descriptors}; " if descriptors else ""
        start = [*cli.NBRAY, "start", "--head", "--num-cpus=1", "--node-ip-address=127.0.0.1",
                 "--port=0", "--include-dashboard=false"]  # fmt: skip
        done = self.run(["bash", "-c", limit + shlex.join(start)])
        assert done.returncode == 0, done.stdout + done.stderr
        line = cli.worker_line(done.stdout)
        self.address = line[1].partition("=")[2]
        self.secret = cli.secret_of(line)
        self.join = [*cli.NBRAY, *line, "--num-cpus=1"]
        host, _, port = self.address.rpartition(":")
        self.where = (host, int(port))
        (self.record,) = Path(self.run_dir).glob("*/record.json")
        self.node = cli.node_of(json.loads(self.record.read_text())["root_pid"])
        argv = [sys.executable, "-c", WORK, self.address, self.secret]
        self.driver = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=cli.environment(NBRAY_RUN_DIR=self.run_dir),
        )
        self.held: list[socket.socket] = []
        self.works()

    def run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        return cli.run(argv, NBRAY_RUN_DIR=self.run_dir)

    def works(self) -> None:
        """The cluster does what it is asked to."""
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        print("go", file=self.driver.stdin, flush=True)
        assert self.driver.stdout.readline() == "328350\n"

    def visit(self, count: int, words: bytes) -> None:
        """*count* connections that say *words* and stay."""
        for _ in range(count):
            stream = socket.socket()
            stream.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                stream.connect(self.where)
            self.held.append(stream)
        for stream in self.held[-count:] if words else ():
            with contextlib.suppress(OSError):
                stream.settimeout(0.2)
                stream.sendall(words)

    def log(self) -> list[str]:
        """What the node has said of those whom it refused."""
        text = (self.record.parent / "logs" / "node.log").read_text()
        return [line for line in text.splitlines() if "refused" in line]

    def release(self) -> None:
        for stream in self.held:
            stream.close()
        self.held.clear()

    def close(self) -> None:
        self.release()
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        self.driver.stdin.close()
        self.driver.wait(60)
        self.driver.stdout.close()
        assert self.run([*cli.NBRAY, "stop"]).returncode == 0
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module", autouse=True)
def _many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def served(_nothing_left: None) -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


def test_who_joins_with_the_secret_is_not_logged_as_refused(served: Served) -> None:
    joined = served.run(served.join)
    assert joined.returncode == 0, joined.stderr
    assert served.log() == []

    def named() -> bool:
        with pytest.raises(AuthenticationError):
            probe(served.address, Secret.generate())
        return any("from 127.0.0.1" in line for line in served.log())

    assert eventually(named, step=0.2)  # who has gone before he is looked at has no address
    assert all("it has not this cluster's secret" in line for line in served.log())
    assert len(served.log()) <= 2


@pytest.mark.parametrize("ways", [QUIET, LOUD])
def test_whatever_strangers_say_is_bounded_and_over_soon(
    served: Served, ways: list[bytes]
) -> None:
    before, lines = served.node.num_fds(), len(served.log())
    memory = served.node.memory_info().rss
    for words in ways:
        served.visit(100, words)
        served.works()
        assert eventually(lambda: served.node.num_fds() < before + 4 * STRANGERS)
    assert eventually(lambda: served.node.num_fds() <= before + 2)
    assert served.node.memory_info().rss < memory + (60 << 20)
    assert len(served.log()) <= lines + 3  # of one address one line a minute
    served.release()


def test_large_frames_before_a_proof_cost_little(served: Served) -> None:
    memory = served.node.memory_info().rss
    served.visit(45, LARGE)
    most = 0
    for _ in range(20):
        most = max(most, served.node.memory_info().rss - memory)
        time.sleep(0.05)
    served.works()
    served.release()
    assert most < STRANGERS * MAX_FRAME, f"{most >> 20} MB"


@pytest.mark.parametrize("descriptors", [128, 256, 1024])
def test_two_thousand_silent_connections_disturb_nobody(descriptors: int) -> None:
    served = Served(descriptors)
    try:
        served.visit(2000, b"")
        served.works()
        if descriptors == 128:
            joined = served.run(served.join)
            assert joined.returncode == 0, joined.stderr
        served.works()
        assert eventually(lambda: served.node.num_fds() < descriptors)
        assert len(served.log()) <= 15
    finally:
        served.close()
