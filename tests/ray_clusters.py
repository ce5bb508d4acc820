"""Ray clusters of this machine, for tests of the engine over Ray: each ends with its block."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2e.netns import HEAD_IP, WORKER_IP, TwoMachines
from harness import eventually, free_port

RAY = (sys.executable, "-c", "from ray.scripts.scripts import main; main()")
"""Ray's command, of this interpreter's Ray."""
STARTED = "Ray runtime started"
PATIENCE = 150.0
"""Seconds in which a node has started, though others have the CPUs."""
TOKEN = "0123456789abcdef" * 4
"""What these clusters ask of whoever joins."""
SHOWN = {
    "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN,
    "RAY_raylet_start_wait_time_s": "120",  # others may have the CPUs
}  # fmt: skip


@contextlib.contextmanager
def head(*options: str) -> Iterator[str]:
    """A cluster of one node with four CPUs and two of the resource 'special': its address.

    NBRAY_TEST_RAY names one that runs already, where starting another takes too long.
    """
    if os.environ.get("NBRAY_TEST_RAY"):
        yield os.environ["NBRAY_TEST_RAY"]
        return
    os.environ |= SHOWN
    port = free_port()
    folder = tempfile.mkdtemp(prefix="nbr-")
    log = Path(folder, "start.log")
    with log.open("w") as said:
        process = subprocess.Popen(
            [*RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=4",
             "--resources", '{"special": 2}', "--include-dashboard=false",
             f"--temp-dir={folder}", *options],
            stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        _await(process, log)
        yield f"127.0.0.1:{port}"
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def node(address: str, *options: str) -> Iterator[subprocess.Popen[Any]]:
    """One more node of two CPUs, of the cluster at *address*: its `ray start --block`."""
    with tempfile.TemporaryDirectory(prefix="nbr-") as folder:
        log = Path(folder, "start.log")
        with log.open("w") as said:
            process = subprocess.Popen(
                [*RAY, "start", "--block", f"--address={address}", "--num-cpus=2", *options],
                stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            _await(process, log)
            yield process
        finally:
            end(process)


def power_off(node: subprocess.Popen[Any]) -> None:
    """End a node as a power cut does: all its processes at once, unasked."""
    import psutil

    first = psutil.Process(node.pid)
    for one in [*first.children(recursive=True), first]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    node.wait(15)


@contextlib.contextmanager
def on_two_machines(two: TwoMachines, cpus: int = 2) -> Iterator[str]:
    """A cluster of a node of *cpus* CPUs on each of two machines, with a `TOKEN`: its address."""
    port = 6379
    with tempfile.TemporaryDirectory(prefix="nbr-", ignore_cleanup_errors=True) as folder:
        started: list[subprocess.Popen[Any]] = []
        try:
            for name, ip, more in (
                (two.head, HEAD_IP, ("--head", f"--port={port}", "--include-dashboard=false",
                                     f"--temp-dir={folder}")),
                (two.worker, WORKER_IP, (f"--address={HEAD_IP}:{port}",)),
            ):  # fmt: skip
                log = Path(folder, f"{ip}.log")
                with log.open("w") as said:
                    one = two.popen(
                        name, [*RAY, "start", "--block", f"--node-ip-address={ip}",
                               f"--num-cpus={cpus}", *more],
                        stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
                        env={**os.environ, **SHOWN, "PYTHONUNBUFFERED": "1"},
                    )  # fmt: skip
                started.append(one)
                _await(one, log)
            yield f"{HEAD_IP}:{port}"
        finally:
            for one in reversed(started):
                end(one)


def _await(process: subprocess.Popen[Any], log: Path) -> None:
    """Until the node of a `ray start` runs."""
    started = eventually(lambda: process.poll() is not None or STARTED in log.read_text(), PATIENCE)
    assert started and process.poll() is None, log.read_text()


def end(process: subprocess.Popen[Any]) -> None:
    """End a `ray start --block`, and what it has started."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(15)
