"""Finding a cluster's dashboard, or starting it.

Owns the hand-over to its process: a folder in, a line of JSON back. Does not
own what the process does then (`__main__`). Rules: one dashboard a cluster on
each machine; the secret stays in the run directory, and the process reads it
there; nothing is left when a start fails.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from nbray.dashboard import record as records
from nbray.dashboard.links import Link, link
from nbray.dashboard.record import Record
from nbray.engine import Engine, load
from nbray.exceptions import RaySystemError

START_SECONDS = 20.0
STOP_SECONDS = 5.0
_PROGRAM = "import sys; sys.path.append({0!r}); from nbray.dashboard.__main__ import main; main()"


class Session(Protocol):
    """What is read of a session's record."""

    @property
    def directory(self) -> str: ...
    @property
    def head_address(self) -> str: ...


class Order(msgspec.Struct, frozen=True):
    """What the process is told on its standard input."""

    directory: str
    port: int = 0
    """0: the usual one, or the next that is free."""


class Answer(msgspec.Struct, frozen=True):
    """What it says, once: where it serves, or why it does not."""

    port: int = 0
    key: str = ""
    why: str = ""


def of_engine(engine: Engine, port: int | None = None) -> Link:
    """The link to the dashboard of *engine*'s cluster; started if need be.

    Raises:
        RaySystemError: it has none, or cannot be started; says why.
    """
    directory = engine.runtime().session_dir
    for session in load("native").records():
        if directory and session.directory == directory:
            return of_session(session, port)
    raise RaySystemError(
        f"the {engine.name} engine has no cluster to look at: "
        "use nbray.init() with the native engine"
    )


def of_session(session: Session, port: int | None = None) -> Link:
    """The same for a cluster that this machine takes part in."""
    folder = Path(session.directory)
    try:
        with records.gate(folder, START_SECONDS):
            found = running(session)
            if found is None:
                answer = _start(Order(str(folder), port or 0))
                return link(answer.port, answer.key, os.environ)
    except TimeoutError:
        raise RaySystemError("another process has been starting the dashboard for long") from None
    except OSError as error:
        raise RaySystemError(f"the dashboard does not start: {error.strerror or error}") from None
    return link(found.port, found.key, os.environ)


def running(session: Session) -> Record | None:
    """The dashboard that serves *session*'s cluster, from whichever of its folders here."""
    others: Sequence[Any] = load("native").records()
    folders = [session.directory] + [
        one.directory for one in others if one.head_address == session.head_address
    ]
    for folder in dict.fromkeys(folders):
        found = records.read(Path(folder))
        if found is not None:
            return found
    return None


def stop(session: Session) -> bool:
    """End the dashboard of *session*'s cluster; whether there was one."""
    found = running(session)
    if found is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while running(session) == found and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def _start(order: Order) -> Answer:
    home = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        # -P: a file in the working directory must not stand in for a module of ours.
        [sys.executable, "-P", "-c", _PROGRAM.format(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
    try:
        line = _line(process.stdout.fileno(), time.monotonic() + START_SECONDS)
    finally:
        process.stdout.close()
        # It has handed over to a child of its own and ended, or is of no use.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        if process.poll() is None:
            process.kill()
            process.wait()
    if not line:
        log = Path(order.directory) / records.LOG
        words = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        said = f": {words[-1]}" if words else ""
        raise RaySystemError(f"the dashboard ended at its start{said}")
    answer = msgspec.json.decode(line, type=Answer)
    if answer.why:
        raise RaySystemError(answer.why)
    return answer


def _line(descriptor: int, deadline: float) -> bytes:
    """One line, b'' at the end of the stream or of time."""
    line = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return b""
        part = os.read(descriptor, 65536)
        if not part:
            return b""
        line += part
    return line
