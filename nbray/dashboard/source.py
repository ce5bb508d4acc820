"""Where the dashboard's figures come from: an engine that is attached only while needed.

Owns the connection to the cluster. Does not own what is shown. Rules: nobody
looks, nobody is asked: after a while without a page the dashboard detaches and
is no client of the cluster any more; a cluster that has ended stays ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nbray.config import InitConfig
from nbray.details import Details
from nbray.engine import Engine
from nbray.events import Snapshot
from nbray.exceptions import RayError

LINGER = 20.0
"""Seconds without a page after which the dashboard detaches."""
RETRY = 1.0
"""Seconds between two tries to attach, or to see whether the cluster still runs."""


class Session(Protocol):
    """What is read of a session's record (see `nbray.cli.Session`)."""

    @property
    def directory(self) -> str: ...
    @property
    def head_address(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def node(self) -> int: ...


class Native(Protocol):
    """What the dashboard asks of `nbray.engines.native`."""

    def records(self) -> Sequence[Any]:
        """This user's live sessions on this machine, youngest first."""
        ...

    def alive(self, record: Any) -> bool:
        """Whether the session still runs."""
        ...

    def start(self, config: InitConfig) -> Engine:
        """Attach to a cluster."""
        ...


class Source:
    """The cluster of one session, or (*find*) of whichever is the youngest."""

    def __init__(
        self,
        native: Native,
        find: Callable[[], Session | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._native = native
        self._find = find
        self._clock = clock
        self._record: Session | None = None
        self._engine: Engine | None = None
        self._used = clock()
        self._tried = float("-inf")
        self.snapshot = Snapshot()
        self.details = Details()
        self.why = ""
        """Why there is nothing to see."""

    @property
    def attached(self) -> bool:
        """Whether the dashboard is a client of a cluster now."""
        return self._engine is not None

    def alive(self) -> bool:
        """Whether there is a cluster to show."""
        if self._record is not None and self._native.alive(self._record):
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
            self.snapshot = self._engine.snapshot()
            self.details = self._engine.details(wanted)
        except (RayError, OSError) as error:
            self.why = str(error)
            self.detach()

    def _attach(self) -> None:
        if not self.alive() or self._record is None:
            self.why = "no nbray runs on this machine"
            return
        record = self._record
        config = InitConfig(
            address=record.head_address, secret=record.secret, log_to_driver=False
        )
        try:
            self._engine = self._native.start(config)
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
