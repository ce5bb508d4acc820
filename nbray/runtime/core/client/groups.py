"""Placement groups, as one client that uses them sees them.

Owns what the client knows of each (the head tells it), and the objects that are ready when a
group is placed. Does not own groups (the head's) nor tasks (`tasks`): a group that has ended fails
what is queued for it. Rule: made when a client first has to do with a group, for most never have.
"""

from __future__ import annotations

from nbray.ids import HEAD
from nbray.runtime.core.client.objects.objects import Entry, Objects
from nbray.runtime.core.client.task_records import ErrorMaker
from nbray.runtime.core.client.tasks import Submitter
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import (
    PLACED,
    REMOVED,
    WAITING,
    CreateGroup,
    GroupState,
    RemoveGroup,
    Value,
    WatchGroup,
)

KEPT = 1000
"""Ended groups that are remembered."""
GONE = "The placement group corresponding to this task has been removed."


class Followed:
    """One group."""

    __slots__ = ("group", "name", "never", "phase", "ready", "why")

    def __init__(self, group: str, name: str = "") -> None:
        self.group = group
        self.name = name
        self.phase = WAITING
        self.why = ""
        self.never = False
        self.ready: list[tuple[Entry, bytes]] = []
        """Objects of this client that get their values when it is placed."""

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or f"#{int(self.group[16:28], 16)}"

    @property
    def waits(self) -> str:
        """Why work for it waits ('': it is placed)."""
        if self.phase == PLACED:
            return ""
        return f"waits for placement group {self.label}" + (f": {self.why}" if self.why else "")


class FollowedGroups:
    """Those that client *me* has to do with."""

    def __init__(self, objects: Objects, tasks: Submitter, error: ErrorMaker) -> None:
        self._objects = objects
        self._tasks = tasks
        self._error = error
        self._me = objects.me
        self.known: dict[str, Followed] = {}

    def create(self, message: CreateGroup) -> list[ClientEffect]:
        """Make a group; it is followed from now on."""
        spec = message.spec
        self._note(Followed(spec.id, spec.name))
        return [Send(HEAD, message)]

    def follow(self, group: str) -> list[ClientEffect]:
        """Hear of this group from now on."""
        known = self.known.get(group)
        if known is not None:  # one that has ended fails what has been queued for it since
            return self._tasks.group_removed(group, GONE) if known.phase == REMOVED else []
        self._note(Followed(group))
        return [Send(HEAD, WatchGroup(self._me, group))]

    def remove(self, group: str) -> list[ClientEffect]:
        """End a group; for this client it has ended at once."""
        effects = self.follow(group)
        effects.append(Send(HEAD, RemoveGroup(self._me, group)))
        known = self.known[group]
        return [*effects, *self.state(GroupState(self._me, group, REMOVED, name=known.name))]

    def ready(self, group: str, seq: int, value: bytes) -> list[ClientEffect]:
        """The promised object *seq* is *value* once the group is placed."""
        effects = self.follow(group)
        entry = self._objects.owned.get(seq)
        if entry is None:
            return effects
        followed = self.known[group]
        owned = self._objects.owned  # who has waited in vain has dropped what he waited for
        followed.ready = [one for one in followed.ready if owned.get(one[0].key[1]) is one[0]]
        followed.ready.append((entry, value))
        return [*effects, *self._settle(followed)]

    def state(self, message: GroupState) -> list[ClientEffect]:
        """The head tells how a group is."""
        followed = self.known.get(message.id)
        if followed is None or followed.phase == REMOVED:
            return []
        followed.phase, followed.why, followed.never = message.state, message.why, message.never
        followed.name = message.name or followed.name
        if message.never:
            self._tasks.lacking(f"work {followed.waits}; it waits for nodes that join with that")
        effects = self._settle(followed)
        if message.state == REMOVED:
            effects += self._tasks.group_removed(message.id, GONE)
        return effects

    def awaited(self, still: bool) -> list[str]:
        """What is not placed and has been waited for, a sentence each. Any thread.

        *still*: only what threads wait for at this moment.
        """
        owned = self._objects.owned
        waited = [
            one for one in list(self.known.values())
            if one.phase != PLACED
            and any(x.waiters or (not still and x.key[1] in owned) for x, _ in one.ready)
        ]  # fmt: skip
        return [
            f"waiting for placement group {one.label}" + (f": {one.why}" if one.why else "")
            for one in waited
        ]

    def _settle(self, followed: Followed) -> list[ClientEffect]:
        if not followed.ready or followed.phase not in (PLACED, REMOVED):
            return []
        ready, followed.ready = followed.ready, []
        effects: list[ClientEffect] = []
        for entry, data in ready:
            value = Value(data)
            if followed.phase == REMOVED:
                value = Value(self._error("TaskPlacementGroupRemoved", GONE), failed=True)
            effects += self._objects.resolve(entry, value)
        return effects

    def _note(self, followed: Followed) -> None:
        self.known[followed.group] = followed
        if len(self.known) > 2 * KEPT:
            for one in [k for k, g in self.known.items() if g.phase == REMOVED][:KEPT]:
                del self.known[one]
