"""What tests share: leak checks, waiting, and skipping that does not hide in CI.

Processes are recognised by a mark in their environment that this test session
sets and that forks and children inherit, so clusters of other users, or of
another test run on the same machine, never count.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from nbray.config import run_root

MARK = "NBRAY_TEST_MARK"
ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / "artifacts"
GRACE = 60.0
"""Seconds in which what must come has come, and what must end has ended."""


def require_or_skip(reason: str) -> NoReturn:
    """Skip with *reason*; in CI, where everything must be there, fail instead."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"cannot run in this environment: {reason}")
    pytest.skip(reason)


def eventually(condition: Callable[[], Any], timeout: float = GRACE, step: float = 0.05) -> Any:
    """The first true value of *condition*, or its last one when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() >= deadline:
            return value
        time.sleep(step)


def set_mark() -> str:
    """Mark this process's descendants and give them a run directory of their own."""
    os.environ[MARK] = uuid.uuid4().hex
    os.environ["NBRAY_RUN_DIR"] = str(private_folder("nbt-") / "run")
    return os.environ[MARK]


KEPT: set[int] = set()
"""Processes that serve several modules of tests, and leave when the session ends."""


def marked(mark: str, own: int | None = None) -> dict[int, str]:
    """Pid to command line of every process with *mark*, but for *own* and what is kept."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in {own, os.getpid(), *KEPT}:
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found[int(entry.name)] = line
        except (OSError, UnicodeDecodeError):  # ended meanwhile, or not ours to read
            continue
    return found


def free_port() -> int:
    """A port at which nobody listens now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def run_directory() -> Path:
    """Where clusters of this user keep their sockets."""
    return Path(run_root())


def shared_memory() -> set[str]:
    """Files of nbray in /dev/shm (there should never be one: segments are memfds)."""
    folder = Path("/dev/shm")
    return {path.name for path in folder.glob("*nbray*")} if folder.is_dir() else set()


class Traces(msgspec.Struct, frozen=True):
    """What a cluster could leave behind, at one moment."""

    processes: dict[int, str]
    run_entries: frozenset[Path]
    shared: frozenset[str]
    threads: frozenset[str]

    @classmethod
    def now(cls, mark: str) -> Traces:
        folder = run_directory()
        return cls(
            processes=marked(mark),
            run_entries=frozenset(folder.iterdir() if folder.is_dir() else ()),
            shared=frozenset(shared_memory()),
            threads=frozenset(f"{t.name}-{t.ident}" for t in threading.enumerate()),
        )

    def since(self, before: Traces) -> list[str]:
        """What is here and was not *before*, one line each."""
        lines = [
            f"process {pid}: {line}"
            for pid, line in self.processes.items()
            if pid not in before.processes
        ]
        lines += [f"run directory entry {path}" for path in self.run_entries - before.run_entries]
        lines += [f"/dev/shm/{name}" for name in self.shared - before.shared]
        lines += [f"thread {name}" for name in self.threads - before.threads]
        return lines


def assert_nothing_left(before: Traces, mark: str, timeout: float = GRACE) -> None:
    """Fail, naming it, if anything that was not there *before* stays past *timeout*."""
    eventually(lambda: not Traces.now(mark).since(before), timeout)
    left = Traces.now(mark).since(before)
    assert not left, "left behind:\n  " + "\n  ".join(left)


def private_folder(prefix: str) -> Path:
    """A new folder with a short path (Unix sockets allow about 100 characters)."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
