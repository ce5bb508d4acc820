"""A look at one cluster, by a process of its own: `python -m nbray.jupyter.server.observer DIR`.

Run with the cluster's own Python by the Jupyter server while somebody looks.
Attaches as a driver, and writes to standard output one line of JSON for each
change, at most four a second. On standard input a line 'join' asks for the
line by which other machines join; the input's end ends it.

Owns nothing of the cluster. Rule: of the secret it writes nothing unasked.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time

import msgspec

from nbray.clusters.launcher import Launcher
from nbray.clusters.local import Local
from nbray.clusters.record import Record
from nbray.engine import Engine
from nbray.events import Snapshot
from nbray.exceptions import RayError
from nbray.view import panel_html

REFRESH = 0.25
"""Seconds between looks."""
GRACE = 2.0
"""Seconds in which it takes its leave of the cluster."""


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


def view(snapshot: Snapshot) -> View:
    """What the sidebar shows of *snapshot*. Pure."""
    live = [node for node in snapshot.nodes if node.alive]
    cpus = sum(node.resources.get("CPU", 0.0) for node in live)
    free = sum(node.available.get("CPU", 0.0) for node in live)
    return View(panel_html(snapshot), len(live), max(0.0, cpus - free), cpus)


def main(directory: str) -> int:
    """Look until the cluster or standard input ends; the exit status."""
    lines = _Input()
    launcher = Local()
    record = launcher.of_directory(directory)
    if record is None:
        print("this cluster has ended", file=sys.stderr)
        return 1
    try:
        engine = launcher.attach(record)
    except (RayError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        _look(launcher, record, engine, lines)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or exit complains
    except (RayError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        engine.shutdown()
    return 0


def _look(launcher: Launcher, record: Record, engine: Engine, lines: _Input) -> None:
    last: View | None = None
    while launcher.alive(record):
        seen = engine.insight.snapshot()
        # Before the first figures have come there is nothing to show.
        if seen.nodes and (now := view(seen)) != last:
            last = now
            _say(now)
        asked = lines.asked(REFRESH if seen.nodes else 0.02)
        if asked is None:
            return
        if asked == "join":
            _say(_join(engine))


class _Input(threading.Thread):
    """Reads standard input; at its end this process has a moment to end, whatever it waits for."""

    def __init__(self) -> None:
        super().__init__(name="nbray-observer-input", daemon=True)
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.start()

    def asked(self, timeout: float) -> str | None:
        """The next line within *timeout* seconds ('' if none), None at the end."""
        try:
            return self._asked.get(timeout=timeout)
        except queue.Empty:
            return ""

    def run(self) -> None:
        """The thread's work."""
        for line in sys.stdin:
            self._asked.put(line.strip())
        self._asked.put(None)
        time.sleep(GRACE)
        os._exit(0)  # a cluster that died meanwhile may never answer


def _join(engine: Engine) -> Joins:
    try:
        return Joins(engine.cluster.join_line())
    except (RayError, OSError) as error:
        return Joins("", str(error))


def _say(what: Said) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
