"""What the panel's buttons do: one thing at a time, beside whatever the notebook runs.

Owns the thread of the thing being done, and the sentence about it. Does not own
the doing (`nbray.clusters`, the engine) nor the buttons (`controls`). Rule: nothing
that goes wrong is lost; it is one sentence, there to be shown.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import msgspec

from nbray import session
from nbray.clusters.cluster import Cluster
from nbray.clusters.launcher import Refused
from nbray.clusters.manager import ADDED_CPUS, ClusterManager
from nbray.engine import Engine
from nbray.exceptions import RayError

SEEN = 10.0
"""Seconds within which the cluster's picture has to show what was done."""
STEP = 0.05
SHOWN = 60.0
"""Seconds for which the line for joining, which holds the secret, is kept in the page."""
INLINE = (
    "the inline engine runs in this process only: it has no nodes to add or take away "
    "(nbray.init(engine='native') has)"
)


class State(msgspec.Struct, frozen=True):
    """What a panel says of it."""

    busy: str = ""
    """What is being done ('' for nothing)."""
    error: str = ""
    """Why the last thing could not be done."""
    join: str = ""
    """The line for joining, while it is asked for. Never in what is saved."""


class Errands:
    """What is done, and how it went. *tell* is called after each change, from any thread."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._forget: threading.Timer | None = None
        self.state = State()

    def add(self) -> None:
        """Have another node on this machine join."""
        self._do("Adding a node on this machine…", _add)

    def remove(self) -> None:
        """Take away the node on this machine that was added last."""
        self._do("Taking a node away…", _remove)

    def end(self, number: int, gently: bool) -> None:
        """Have a node leave, see `Cluster.end_node`."""
        self._do(
            f"Asking node {number} to leave…" if gently else f"Stopping node {number}…",
            lambda engine: _end(engine, number, gently),
        )

    def join(self) -> None:
        """Find the line by which other machines join; it is forgotten after a minute."""
        self._do("Opening the port for other machines…", self._join)

    def hide(self) -> None:
        """Forget that line, and what went wrong."""
        with self._lock:
            if self._forget is not None:
                self._forget.cancel()
                self._forget = None
            self.state = State(busy=self.state.busy)
        self._tell()

    def _join(self, engine: Engine) -> None:
        line = engine.cluster.join_line()
        with self._lock:
            self.state = msgspec.structs.replace(self.state, join=line)
            if self._forget is not None:
                self._forget.cancel()
            self._forget = threading.Timer(SHOWN, self.hide)
            self._forget.daemon = True
            self._forget.start()

    def _do(self, busy: str, work: Callable[[Engine], None]) -> None:
        with self._lock:
            if self.state.busy:
                return  # its button is disabled; a click may have been on its way
            self.state = State(busy=busy, join=self.state.join)
        self._tell()
        threading.Thread(
            target=self._run, args=(work,), name="nbray-panel-errand", daemon=True
        ).start()

    def _run(self, work: Callable[[Engine], None]) -> None:
        error = ""
        try:
            engine = session.current()
            if engine is None:
                raise Refused("nbray is not running any more")
            work(engine)
        except (Refused, RayError, ValueError) as failure:
            error = " ".join(str(failure).split()) or type(failure).__name__
        except Exception as failure:  # noqa: BLE001 - the thread's edge: whoever clicked is told
            error = f"{type(failure).__name__}: {failure}"
        with self._lock:
            self.state = msgspec.structs.replace(self.state, busy="", error=error)
        self._tell()


def removable(engine: Engine) -> int:
    """How many nodes on this machine `remove` could take away, one after the other."""
    folder = engine.context.runtime().session_dir
    cluster = ClusterManager().of_session(folder) if folder else None
    if cluster is None:
        return 0
    return cluster.added - (not cluster.head or cluster.directory != folder)


def _add(engine: Engine) -> None:
    cluster, _ = _here(engine)
    before = _live(engine)
    ClusterManager().add_node(cluster.id, os.environ, ADDED_CPUS)
    _wait(lambda: len(_live(engine) - before) > 0)


def _remove(engine: Engine) -> None:
    cluster, folder = _here(engine)
    before = _live(engine)
    ClusterManager().remove_node(cluster.id, keep=folder)
    _wait(lambda: len(before - _live(engine)) > 0)


def _end(engine: Engine, number: int, gently: bool) -> None:
    engine.cluster.end_node(number, gently)
    if gently:
        _wait(lambda: number not in _live(engine, leaving=False))
    elif not _wait(lambda: number not in _live(engine)):
        raise Refused(f"node {number} was told to stop, and has not answered yet")


def _here(engine: Engine) -> tuple[Cluster, str]:
    if engine.capabilities.nodes:
        raise Refused(engine.capabilities.nodes)
    folder = engine.context.runtime().session_dir
    if not folder:
        raise Refused(INLINE)
    cluster = ClusterManager().of_session(folder)
    if cluster is None:
        raise Refused("this cluster has ended")
    return cluster, folder


def _live(engine: Engine, leaving: bool = True) -> set[int]:
    return {
        node.number
        for node in engine.insight.snapshot().nodes
        if node.alive and (leaving or not node.leaving)
    }


def _wait(until: Callable[[], bool]) -> bool:
    """Until the picture shows it: then the button may be pressed again."""
    deadline = time.monotonic() + SEEN
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP)
    return True
