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

    __slots__ = ("group", "name", "never", "phase", "raises", "ready", "why")

    def __init__(self, group: str, name: str = "", raises: bool = False) -> None:
        self.group = group
        self.name = name
        self.raises = raises
        """Who waits for it while no node can hold it gets an error, and does not wait."""
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


    @property
    def lacks(self) -> str:
        """What is said to who does not wait for nodes that could hold it."""
        return f"no node can hold placement group {self.label}: {self.why}"


class FollowedGroups:
    """Those that client *me* has to do with."""

    def __init__(self, objects: Objects, tasks: Submitter, error: ErrorMaker) -> None:
        self._objects = objects
        self._tasks = tasks
        self._error = error
        self._me = objects.me
        self.known: dict[str, Followed] = {}

    def create(self, message: CreateGroup, raises: bool = False) -> list[ClientEffect]:
        """Make a group; it is followed from now on (*raises*: see `Followed`)."""
        spec = message.spec
        self._note(Followed(spec.id, spec.name, raises))
        return [Send(HEAD, message)]

    def follow(self, group: str) -> list[ClientEffect]:
        """Hear of this group from now on."""
        known = self.known.get(group)
        if known is not None:  # one that has ended fails what has been queued for it since
            if known.phase == REMOVED:
                return self._removed(group)
            return self._impossible(group, known.lacks) if known.never else []
        self._note(Followed(group))
        return [Send(HEAD, WatchGroup(self._me, group))]

    def remove(self, group: str) -> list[ClientEffect]:
        """End a group; for this client it has ended at once."""
        effects = self.follow(group)
        effects.append(Send(HEAD, RemoveGroup(self._me, group)))
        known = self.known[group]
        return [*effects, *self.state(GroupState(self._me, group, REMOVED, name=known.name))]

    def ready(
        self, group: str, seq: int, value: bytes, raises: bool = False
    ) -> list[ClientEffect]:
        """The promised object *seq* is *value* once the group is placed (*raises*: `Followed`)."""
        effects = self.follow(group)
        self.known[group].raises |= raises
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
        was = followed.never
        followed.phase, followed.why, followed.never = message.state, message.why, message.never
        followed.name = message.name or followed.name
        if message.never and not followed.raises:
            self._tasks.lacking(f"work {followed.waits}; it waits for nodes that join with that")
        effects = self._settle(followed)
        if message.state == REMOVED:
            effects += self._removed(message.id)
        elif was or message.never:
            effects += self._impossible(message.id, followed.lacks if message.never else "")
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

    def _removed(self, group: str) -> list[ClientEffect]:
        """It has ended: what is queued for it fails, now and later."""
        effects: list[ClientEffect] = []
        pools = self._tasks.pools
        for pool in pools.of_group(group):
            pool.infeasible, pool.kind, pool.ended = GONE, "TaskPlacementGroupRemoved", True
            effects += self._tasks.fail_pool(pool)
            effects.append(pools.forget(pool))
            if not pool.leases:
                pools.active.pop(pool.id, None)
                pools.drop(pool)
        return effects

    def _impossible(self, group: str, why: str) -> list[ClientEffect]:
        """No node can hold it: what does not wait for one fails, now and later ('': one can)."""
        effects: list[ClientEffect] = []
        pools = self._tasks.pools
        for pool in pools.of_group(group):
            if pool.raises and why != pool.infeasible:
                pool.infeasible = why
                effects += self._tasks.fail_pool(pool) if why else []
                effects.append(pools.forget(pool))
        return effects

    def _settle(self, followed: Followed) -> list[ClientEffect]:
        impossible = followed.raises and followed.never and followed.phase == WAITING
        if not followed.ready or not (impossible or followed.phase in (PLACED, REMOVED)):
            return []
        ready, followed.ready = followed.ready, []
        effects: list[ClientEffect] = []
        for entry, data in ready:
            value = Value(data)
            if followed.phase == REMOVED:
                value = Value(self._error("TaskPlacementGroupRemoved", GONE), failed=True)
            elif impossible:
                value = Value(self._error("TaskUnschedulableError", followed.lacks), failed=True)
            effects += self._objects.resolve(entry, value)
        return effects

    def _note(self, followed: Followed) -> None:
        self.known[followed.group] = followed
        if len(self.known) > 2 * KEPT:
            for one in [k for k, g in self.known.items() if g.phase == REMOVED][:KEPT]:
                del self.known[one]
