"""A look at one cluster, by a process of its own: `python -m nbray.jupyter.server.observer DIR`.

Run with the cluster's own Python by the Jupyter server while somebody looks.
Attaches as a driver, and writes to standard output one line of JSON for each
change, at most four a second. On standard input a line 'join' asks for the
line by which other machines join; the input's end ends it.

Owns nothing of the cluster. Rule: of the secret it writes nothing unasked.
"""

from __future__ import annotations

import os
import select
import sys
import time
from typing import Protocol, cast

import msgspec

from nbray.config import InitConfig
from nbray.engine import Engine, load
from nbray.events import Snapshot
from nbray.exceptions import RayError
from nbray.view import panel_html

REFRESH = 0.25
"""Seconds between looks."""


class View(msgspec.Struct, frozen=True, tag=True):
    """How the cluster is now."""

    html: str
    nodes: int
    busy: float
    """CPUs that tasks hold."""
    cpus: float


class Joins(msgspec.Struct, frozen=True, tag=True):
    """The answer to 'join'."""

    line: str
    """'' if there is none."""
    why: str = ""


Said = View | Joins


class Session(Protocol):
    """What is read of the cluster's record."""

    @property
    def directory(self) -> str: ...
    @property
    def head_address(self) -> str: ...
    @property
    def secret(self) -> str: ...


class Native(Protocol):
    """What is asked of the module `nbray.engines.native`."""

    def records(self) -> list[Session]: ...
    def alive(self, record: Session) -> bool: ...
    def start(self, config: InitConfig) -> Engine: ...


def view(snapshot: Snapshot) -> View:
    """What the sidebar shows of *snapshot*. Pure."""
    live = [node for node in snapshot.nodes if node.alive]
    cpus = sum(node.resources.get("CPU", 0.0) for node in live)
    free = sum(node.available.get("CPU", 0.0) for node in live)
    return View(panel_html(snapshot), len(live), max(0.0, cpus - free), cpus)


def main(directory: str) -> int:
    """Look until the cluster or standard input ends; the exit status."""
    native = cast("Native", load("native"))
    record = next((one for one in native.records() if one.directory == directory), None)
    if record is None:
        print("this cluster has ended", file=sys.stderr)
        return 1
    try:
        engine = native.start(
            InitConfig(address=record.head_address, secret=record.secret, log_to_driver=False)
        )
    except (RayError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        _look(native, record, engine)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or exit complains
    except (RayError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        engine.shutdown()
    return 0


def _look(native: Native, record: Session, engine: Engine) -> None:
    last: View | None = None
    while native.alive(record):
        seen = engine.snapshot()
        # Before the first figures have come there is nothing to show.
        if seen.nodes and (now := view(seen)) != last:
            last = now
            _say(now)
        asked = _asked(REFRESH if seen.nodes else 0.02)
        if asked is None:
            return
        if asked == "join":
            _say(_join(engine))


def _asked(timeout: float) -> str | None:
    """The next line of standard input within *timeout* seconds ('' if none), None at its end."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([sys.stdin], [], [], left)[0]:
            break
        line = os.read(sys.stdin.fileno(), 4096)
        if not line:
            return None
        if line.strip():
            return line.decode().strip()
    return ""


def _join(engine: Engine) -> Joins:
    try:
        return Joins(engine.join_line())
    except (RayError, OSError) as error:
        return Joins("", str(error))


def _say(what: Said) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
