"""Finding a cluster's dashboard, waking it, or starting one.

Where a cluster's head runs there is a port from the start, and a process as
soon as somebody comes to it (`runtime/shell/root/dashboard_port.py`): its link is known
before (`offered`). On other machines, or where the cluster was started without,
a process is started on demand. Owns the hand-over to that one: a folder in, a
line of JSON back. Does not own what the process does then (`__main__`). Rules:
one dashboard a cluster on each machine; the secret stays in the run directory,
and the process reads it there; nothing is left when a start fails.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nbray.clusters.local import Local
from nbray.dashboard import record as records
from nbray.dashboard.access import ticket
from nbray.dashboard.links import Link, link, saved, visited
from nbray.dashboard.record import Serving
from nbray.engine import Engine
from nbray.exceptions import RaySystemError
from nbray.pipes import read_line

if TYPE_CHECKING:
    from nbray.clusters.record import DashboardPort, Record

START_SECONDS = 20.0
STOP_SECONDS = 5.0
UNAVAILABLE = 503
_PROGRAM = "import sys; sys.path.append({0!r}); from nbray.dashboard.__main__ import main; main()"


class Order(msgspec.Struct, frozen=True):
    """What the process is told on its standard input."""

    directory: str
    port: int = 0
    """0: the usual one, or the next that is free."""
    key: str = ""
    """'': a new one."""
    listening: int = -1
    """A descriptor that was handed down: it listens at *port* already."""


class Answer(msgspec.Struct, frozen=True):
    """What it says, once: where it serves, or why it does not."""

    port: int = 0
    key: str = ""
    why: str = ""


def of_engine(engine: Engine, port: int | None = None) -> Link:
    """The link to the dashboard of *engine*'s cluster; it serves when this returns.

    Raises:
        RaySystemError: it has none, or does not start; says why.
    """
    session = _session(engine)
    if session is not None:
        return of_session(session, port)
    raise RaySystemError(
        f"the {engine.capabilities.name} engine has no cluster to look at: "
        "use nbray.init() with the native engine"
    )


def _session(engine: Engine) -> Record | None:
    directory = engine.context.runtime().session_dir
    return Local().of_directory(directory) if directory else None


def of_session(session: Record, port: int | None = None) -> Link:
    """The same for a cluster that this machine takes part in."""
    return _link(*place(session, port), session)


def place(session: Record, port: int | None = None) -> tuple[int, str]:
    """(port on 127.0.0.1, key) of the dashboard of *session*'s cluster; it serves on return.

    Raises:
        RaySystemError: it does not start, or is at another port than *port*; says so.
    """
    folder = Path(session.directory)
    try:
        with records.gate(folder, START_SECONDS):
            at: Serving | DashboardPort | None = running(session) or _front(session)
            if at is None:
                answer = _start(Order(str(folder), port or 0))
                return answer.port, answer.key
            if port in {None, at.port}:
                if not isinstance(at, Serving):
                    _wake(at, folder)
                return at.port, at.key
    except TimeoutError:
        raise RaySystemError("another process has been starting the dashboard for long") from None
    except OSError as error:
        raise RaySystemError(f"the dashboard does not start: {error.strerror or error}") from None
    raise RaySystemError(
        f"the dashboard of this cluster is at port {at.port} already: to have it at {port}, start "
        f"the cluster with --dashboard-port={port}, or nbray.init(dashboard_port={port})"
    )


def _link(port: int, key: str, session: Record) -> Link:
    if _saves():
        key = ticket(key, time.time())
    return link(port, key, os.environ, session.cluster)


def _saves() -> bool:
    """Whether what this process shows may be saved, as notebooks save what their cells show."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return (
        "marimo" in sys.modules
        or (kernel is not None and kernel.IPKernelApp.initialized())
        or saved(os.environ)
    )


def offered(session: Record) -> Link | None:
    """The link to a dashboard that serves or will when somebody opens it; None without one."""
    front = _front(session)
    return _link(front.port, front.key, session) if front is not None else None


def known(engine: Engine) -> tuple[Link | None, str]:
    """The same for *engine*'s cluster, and why there is none where one was wanted.

    Nothing is started, nothing raised. On a page for visitors there is none.
    """
    if visited(os.environ):
        return None, ""
    try:
        session = _session(engine)
    except (RaySystemError, OSError):
        session = None
    if session is None:
        return None, ""
    return offered(session), session.dashboard.why


def url(engine: Engine) -> str:
    """The address as Ray's context has it: '' without a dashboard.

    On a machine whose node has joined, where none waits, one is started.

    Raises:
        RaySystemError: it does not start; says why.
    """
    session = _session(engine)
    if session is None:
        return ""
    return offered(session) or ("" if session.head else of_session(session))


def _front(session: Record) -> DashboardPort | None:
    """The port that listens for *session*'s cluster, if its head runs on this machine."""
    if session.dashboard.port:
        return session.dashboard
    others = Local().records()
    fronts = (one.dashboard for one in others if one.head_address == session.head_address)
    return next((front for front in fronts if front.port), None)


def _wake(front: DashboardPort, folder: Path) -> None:
    """Come to the port as a browser would, and wait until somebody answers.

    Raises:
        RaySystemError: who answers has failed; says why.
        OSError: nobody does.
    """
    import http.client  # only here: it takes long to import

    asked = http.client.HTTPConnection("127.0.0.1", front.port, timeout=START_SECONDS)
    try:
        asked.request("GET", f"/?key={front.key}")
        answer = asked.getresponse()
        words = answer.read(65536).decode(errors="replace").strip()
    except http.client.HTTPException:
        raise OSError("it hung up") from None
    finally:
        asked.close()
    if answer.status == UNAVAILABLE:
        # The process has said why; or root, which does not know: then the log does.
        why = "" if answer.getheader("Retry-After") else words
        log = folder / records.LOG
        raise RaySystemError(why or f"the dashboard has failed ({log}): {_last_words(folder, 2)}")


def running(session: Record) -> Serving | None:
    """The dashboard that serves *session*'s cluster, from whichever of its folders here."""
    others = Local().records()
    folders = [session.directory] + [
        one.directory for one in others if one.head_address == session.head_address
    ]
    for folder in dict.fromkeys(folders):
        found = records.read(Path(folder))
        if found is not None:
            return found
    return None


def stop(session: Record) -> bool:
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
        line = read_line(process.stdout.fileno(), time.monotonic() + START_SECONDS)
    finally:
        process.stdout.close()
        # It has handed over to a child of its own and ended, or is of no use.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        if process.poll() is None:
            process.kill()
            process.wait()
    if not line:
        said = _last_words(Path(order.directory))
        raise RaySystemError("the dashboard ended at its start" + (f": {said}" if said else ""))
    answer = msgspec.json.decode(line, type=Answer)
    if answer.why:
        raise RaySystemError(answer.why)
    return answer


def _last_words(folder: Path, lines: int = 1) -> str:
    """The end of the log, '' if there is none."""
    log = folder / records.LOG
    words = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return "; ".join(words[-lines:])
