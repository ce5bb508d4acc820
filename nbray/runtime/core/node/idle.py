"""When a cluster that nobody uses ends by itself.

Owns the waiting and the words. Does not own what counts as use beyond one
machine's view (`at_work`), nor the end. Pure. Rules: it is in use while a driver
is attached, anything runs or waits, or another machine takes part; the clock
begins anew with each use. What somebody may come back for (a job's unfetched
result, any other detached actor) is kept for longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbray import config

if TYPE_CHECKING:
    from nbray.runtime.core.node.brain import NodeBrain

VARIABLE = "NBRAY_IDLE_TIMEOUT"
"""Seconds; 0: never."""
_HUB = "JUPYTERHUB_SERVICE_PREFIX"


def limits(asked: float, environ: Mapping[str, str]) -> tuple[float, float]:
    """Seconds without use (with nothing kept, with something kept) before the end; 0: never.

    What is *asked* for counts, then what the environment says, then whether it is a hub's.

    Raises:
        ValueError: the environment says something else than a number of seconds.
    """
    said = environ.get(VARIABLE, "").strip()
    if asked < 0 and said:
        try:
            asked = float(said)
        except ValueError:
            asked = -1.0
        if not 0 <= asked < float("inf"):
            raise ValueError(f"{VARIABLE} is a number of seconds (0: never), not {said!r}")
    if asked >= 0:
        return asked, asked
    if environ.get(_HUB):
        return config.IDLE_ON_HUB, config.IDLE_ON_HUB_KEPT
    return 0.0, 0.0


class Idle:
    """The clock of one cluster, at its head's node."""

    def __init__(self, quiet: float, kept: float) -> None:
        self._quiet = quiet
        self._kept = kept
        self._since: float | None = None

    def look(self, now: float, busy: bool, kept: bool) -> str:
        """Why the cluster ends now ('' if it does not)."""
        if busy:
            self._since = None
            return ""
        if self._since is None:
            self._since = now
        limit = self._kept if kept else self._quiet
        if not limit or now - self._since < limit:
            return ""
        return f"nobody has used it for {limit:g} seconds (--idle-timeout, {VARIABLE})"


def at_work(brain: NodeBrain) -> tuple[bool, bool]:
    """(whether *brain*'s cluster is in use, whether it keeps what somebody may come back for)."""
    mine = brain.settings.info
    busy = (
        any(client.driver for client in brain.clients.values())
        or any(worker.worked is not None and worker.worked.running for worker in brain.pool)
        or any(True for _ in brain.leases)
        or bool(brain.leases.wants)
        or any(
            other.ip != mine.ip or other.available != other.total
            for other in brain.peers.others()
        )
    )
    return busy, brain.residents.kept()
