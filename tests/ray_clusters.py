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

from harness import eventually, free_port

RAY = (sys.executable, "-c", "from ray.scripts.scripts import main; main()")
"""Ray's command, of this interpreter's Ray."""
STARTED = "Ray runtime started"


@contextlib.contextmanager
def head(*options: str) -> Iterator[str]:
    """A cluster of one node with four CPUs and two of the resource 'special': its address.

    NBRAY_TEST_RAY names one that runs already, where starting another takes too long.
    """
    if os.environ.get("NBRAY_TEST_RAY"):
        yield os.environ["NBRAY_TEST_RAY"]
        return
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
        started = eventually(lambda: process.poll() is not None or STARTED in log.read_text())
        assert started and process.poll() is None, log.read_text()
        yield f"127.0.0.1:{port}"
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a `ray start --block`, and what it has started."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(15)
