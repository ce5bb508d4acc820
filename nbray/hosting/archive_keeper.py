"""The actor of nbray's own that holds archives of jobs for detached actors that outlive them.

Owns the archives, as objects of its process, and which actor needs which. Does not own who brings
them (the engine). Rule: an archive is held once, for as long as an actor lives that needs it; what
no actor needs any more goes when the next one is brought.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nbray import details, session
from nbray.ids import ObjectKey
from nbray.refs import ObjectRef

if TYPE_CHECKING:
    from nbray.engine import Engine

Archives = dict[str, ObjectRef[Any]]
"""By their names."""
UNBORN = 120.0
"""Seconds in which an actor may come to be for which archives were brought."""


class ArchiveKeeper:
    """Holds archives by their names: equal content, equal name."""

    def __init__(self) -> None:
        self._held: Archives = {}
        self._users: dict[ObjectKey, tuple[set[str], float]] = {}
        """Which archives an actor needs, and since when."""

    def hold(self, user: ObjectKey, archives: Archives) -> Archives:
        """Hold *archives* for the actor *user*; the references to them that last."""
        engine = session.require()
        self._let_go(engine)
        for name, ref in archives.items():
            if name not in self._held:
                self._held[name] = engine.put(engine.get([ref], None)[0])
        self._users[user] = (set(archives), time.monotonic())
        return {name: self._held[name] for name in archives}

    def _let_go(self, engine: Engine) -> None:
        if not self._users:
            return
        known = engine.insight.complete(details.ACTORS, 5.0)
        if known.silent_nodes:
            return
        alive = {
            one.key for one in known.actors if details.ACTOR_STATES[one.state] != "dead"
        }
        since = time.monotonic() - UNBORN
        self._users = {
            key: user for key, user in self._users.items() if key in alive or user[1] > since
        }
        needed = set().union(*(names for names, _ in self._users.values()))
        for name in self._held.keys() - needed:
            del self._held[name]
