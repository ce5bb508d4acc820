"""One actor as a client sees it: its state, the calls that wait for it and those in flight.

Owns the record. Does not own what happens to it (`actors`).
"""

from __future__ import annotations

from collections import deque

from nbray.ids import node_of
from nbray.runtime.core.client.task_records import Task
from nbray.wire.messages import PENDING, Ref, Shape, Why


class ActorLink:
    """One actor as this client sees it."""

    __slots__ = ("begun", "cause", "created", "detached", "ended", "error", "held", "incarnation",
                 "inflight", "key", "kind", "known", "name", "needs", "once", "order", "queue",
                 "since", "state", "unordered", "waits", "worker")  # fmt: skip

    def __init__(self, key: Ref, name: str) -> None:
        self.key = key
        self.name = name
        self.state = PENDING
        self.incarnation = -1
        self.worker = self.order = 0
        self.queue: deque[Task] = deque()
        self.inflight: dict[int, Task] = {}
        self.known: set[int] = set()
        self.cause = ""
        self.kind = Why.OTHER
        """What kind of cause it is."""
        self.error = b""
        self.detached = False
        self.ended = False
        """This client has ended it for good: a pool's calls that are left are given up."""
        self.unordered = False
        """Calls whose arguments are ready go before those whose are not."""
        self.created = False
        """This client made it."""
        self.begun = False
        """And has asked the head to start it."""
        self.needs: Shape = {}
        """What it takes to live, if this client made it, as what follows."""
        self.since = 0.0
        """Since when calls wait for it to start (0: they do not)."""
        self.waits = ""
        """Why its node does not start it."""
        self.held: tuple[Ref, ...] = ()
        """What its constructor's arguments and its class can reach, for it may start again."""
        self.once = False
        """It never does: with its first answer it has told us of what it keeps of ours."""

    @property
    def node(self) -> int:
        """The node it runs on."""
        return node_of(self.worker)
