"""Where the dashboard's figures come from: an engine that is attached only while needed.

Owns the connection to the cluster. Does not own what is shown. Rules: nobody
looks, nobody is asked: after a while without a page the dashboard detaches and
is no client of the cluster any more; a cluster that has ended stays ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import msgspec

from nbray.clusters.launcher import Launcher
from nbray.clusters.record import Record
from nbray.details import Details, SubmittedRecord
from nbray.engine import Engine
from nbray.events import Snapshot
from nbray.exceptions import RayError
from nbray.job_submission.client import submitted

LINGER = 20.0
"""Seconds without a page after which the dashboard detaches."""
RETRY = 1.0
"""Seconds between two tries to attach, or to see whether the cluster still runs."""
PATIENCE = 1.0
"""Seconds for which a page waits to hear of submitted jobs."""


class Source:
    """The cluster of one session, or (*find*) of whichever is the youngest."""

    def __init__(
        self,
        launcher: Launcher,
        find: Callable[[], Record | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._launcher = launcher
        self._find = find
        self._clock = clock
        self._record: Record | None = None
        self._engine: Engine | None = None
        self._used = clock()
        self._tried = float("-inf")
        self.snapshot = Snapshot()
        self.details = Details()
        self._submitted: tuple[SubmittedRecord, ...] = ()
        self.why = ""
        """Why there is nothing to see."""

    @property
    def attached(self) -> bool:
        """Whether the dashboard is a client of a cluster now."""
        return self._engine is not None

    def alive(self) -> bool:
        """Whether there is a cluster to show."""
        if self._record is not None and self._launcher.alive(self._record):
            return True
        if self._engine is not None:
            self.why = "the cluster has ended"
            self.detach()
        self._record = self._find()
        return self._record is not None

    def look(self, wanted: int) -> None:
        """Fresh figures; attaches if need be. Never raises."""
        self._used = now = self._clock()
        if now - self._tried >= RETRY:
            self._tried = now
            if self._engine is not None:
                self.alive()  # detaches if the cluster has ended; the next look finds another
            else:
                self._attach()
        if self._engine is None:
            return
        try:
            self.snapshot = self._engine.insight.snapshot()
            self.details = self._engine.insight.details(wanted)
            if self._engine.capabilities.actors and wanted == 0:
                self._add_submitted(self._engine)
        except (RayError, OSError) as error:
            self.why = str(error)
            self.detach()

    def _add_submitted(self, engine: Engine) -> None:
        """Submitted jobs are known to an actor of the cluster's, if there is one."""
        with contextlib.suppress(RayError):  # it says nothing for a moment: what it said last
            self._submitted = submitted(engine, PATIENCE)
        self.details = msgspec.structs.replace(self.details, submitted=self._submitted)

    def _attach(self) -> None:
        if not self.alive() or self._record is None:
            self.why = "no nbray runs on this machine"
            return
        try:
            self._engine = self._launcher.attach(self._record)
            self.why = ""
        except (RayError, OSError) as error:
            self.why = str(error)

    def rest(self) -> None:
        """Nobody looks now: detach after a while."""
        if self._engine is not None and self._clock() - self._used > LINGER:
            self.detach()

    def detach(self) -> None:
        """Leave the cluster; what was seen last stays."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.shutdown()
