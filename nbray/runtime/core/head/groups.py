"""Placement groups: who has which, and the way from a wish to reserved bundles on nodes.

Owns every group from `CreateGroup` to its end, and its name. Does not own the choice of nodes
(`bundle_plan`), what of each is promised (`promises`) nor what a node has free (the nodes do).
Rules: a group is reserved on all its nodes, then committed on all, so that nothing runs in half
a group; what is promised is never more than what actors and groups leave of a node, so that
each reservation ends well as soon as leases come back; older groups come first.

::

    WAITING --placed--> PLACED --node lost--> REPLACING --placed--> PLACED
    any --removed--> REMOVED, which is final
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from nbray.details import GroupRecord
from nbray.ids import HEAD, node_client, node_of
from nbray.runtime.core.effects import HeadEffect, Send
from nbray.runtime.core.head.bundle_plan import Ask, plan
from nbray.runtime.core.head.group_reports import record, why_not
from nbray.runtime.core.head.promises import Promises
from nbray.runtime.core.placement import give
from nbray.wire import messages as m

REMOVED_KEPT = 1000
"""Removed groups that are remembered, so that a late question is answered."""
REMOVED_SHOWN = 50
"""Of those, the ones that screens list."""
GONE_KEPT = 100_000
"""Older ones of which only the fact is."""
STUCK = 1.0
"""Seconds that reservations may take before another plan is looked for."""


def _maker(group: str) -> int:
    """The client that made it, or is about to."""
    return int(group[:16], 16)


class _Group:
    __slots__ = ("asked", "attempt", "attempts", "began", "born", "delays", "due", "kind",
                 "missing", "never", "nodes", "orphan", "phase", "spec", "watchers", "whole",
                 "why")  # fmt: skip

    def __init__(self, spec: m.GroupSpec, now: float) -> None:
        self.spec = spec
        self.phase = m.WAITING
        self.nodes = [0] * len(spec.bundles)
        """Of each bundle (0: none is chosen)."""
        self.asked: dict[int, list[int]] = {}
        """Of the nodes that reserve now, the bundles."""
        self.missing: set[int] = set()
        """Nodes whose answer is awaited."""
        self.attempt = 0
        self.attempts = 0
        self.born = self.began = now
        self.delays = (0.0, 0.0)
        self.due: float | None = None
        """When to look whether it has room elsewhere, for its reservations take long."""
        self.why = ""
        self.never = False
        self.whole = False
        """One node reserves all that is to be reserved."""
        self.watchers: list[int] = []
        bundles = tuple(tuple(sorted(bundle.items())) for bundle in spec.bundles)
        self.kind = (spec.strategy, bundles, repr(spec.selectors), spec.target)
        """What it asks for."""
        self.orphan = False
        """The driver of its job has ended; an actor that made it may keep it."""

    @property
    def reserving(self) -> bool:
        return bool(self.asked)


class Groups:
    """All of one cluster.

    Args:
        cluster: its number.
        nodes: gives the live members as they are now.
        held: what actors that belong to no group hold on a node.
        ended: whether a client is known to be dead.
    """

    def __init__(
        self, cluster: int, nodes: Callable[[], Sequence[m.NodeInfo]],
        held: Callable[[int], Iterable[m.Shape]], ended: Callable[[int], bool],
    ) -> None:  # fmt: skip
        self._cluster = cluster
        self._nodes = nodes
        self._ended = ended
        self._all: dict[str, _Group] = {}
        self._open: dict[str, _Group] = {}
        """Those that lack bundles."""
        self._names: dict[tuple[str, str], str] = {}
        self.promises = Promises(held)
        self._removed: list[str] = []
        self._gone: dict[str, None] = {}
        self._ended_now: list[str] = []
        """Those that have ended since somebody last asked."""
        self._early: dict[str, list[int]] = {}
        """Who watches groups whose `CreateGroup` has not come."""

    # -- made, looked up, ended -------------------------------------------------------

    def create(self, message: m.CreateGroup, now: float) -> list[HeadEffect]:
        """Register a group, and place it if there is room."""
        spec, sender = message.spec, message.sender
        name = (spec.namespace, spec.name)
        if spec.name and name in self._names:
            why = (
                f"Failed to create placement group '{spec.id}' because name '{spec.name}' already "
                "exists."
            )
            self._forgotten(spec.id)
            return [Send(sender, m.GroupMade(HEAD, message.token, why))]
        if spec.id in self._all or spec.id in self._gone:
            return []
        group = _Group(spec, now)
        group.watchers = list(dict.fromkeys([sender, *self._early.pop(spec.id, ())]))
        out: list[HeadEffect] = []
        if message.token:
            out.append(Send(sender, m.GroupMade(HEAD, message.token)))
        self._all[spec.id] = group
        if self._ended(spec.job):
            group.orphan = True
            if not spec.detached and spec.actor is None:
                return [*out, *self._end(group, "its driver has ended")]
        if spec.name:
            self._names[name] = spec.id
        self._open[spec.id] = group
        return [*out, *self._place(group, now)]

    def remove(self, message: m.RemoveGroup) -> list[HeadEffect]:
        """End a group."""
        group = self._all.get(message.id)
        if group is None:
            self._forgotten(message.id)
            return [self._unknown(message.id, one) for one in self._early.pop(message.id, ())]
        return self._end(group, "")

    def watch(self, message: m.WatchGroup) -> list[HeadEffect]:
        """Tell the sender this group's state now and whenever it changes."""
        group = self._all.get(message.id)
        if group is None:
            if message.id in self._gone or self._ended(_maker(message.id)):
                return [self._unknown(message.id, message.sender)]
            waiting = self._early.setdefault(message.id, [])
            if message.sender not in waiting:
                waiting.append(message.sender)
            return []
        if message.sender not in group.watchers and group.phase != m.REMOVED:
            group.watchers.append(message.sender)
        return [Send(message.sender, self._told(group))]

    def find(self, message: m.FindGroups) -> list[HeadEffect]:
        """What is known of one, or of all."""
        chosen = list(self._all.values())
        if message.id:
            chosen = [self._all[message.id]] if message.id in self._all else []
        elif message.name:
            found = self._names.get((message.namespace, message.name))
            chosen = [self._all[found]] if found is not None else []
        records = [self._record(one) for one in chosen]
        return [Send(message.sender, m.GroupsFound(HEAD, message.token, records))]

    def records(self) -> list[GroupRecord]:
        """All of them for screens, the youngest first; of those that ended the latest."""
        older = set(self._removed[:-REMOVED_SHOWN])
        shown = [one for one in reversed(self._all.values()) if one.spec.id not in older]
        return [self._record(one) for one in shown]

    @property
    def living(self) -> int:
        """How many have not ended."""
        return len(self._all) - len(self._removed)

    def _record(self, one: _Group) -> GroupRecord:
        nodes = [number if number not in one.missing else 0 for number in one.nodes]
        facts = (one.phase, nodes, one.why, one.never, one.attempts, one.delays)
        return record(one.spec, *facts, self._cluster)

    def waits(self, group: str) -> str:
        """Why work for it waits ('': it is placed, or nothing is known of it)."""
        known = self._all.get(group)
        return "" if known is None or known.phase == m.PLACED else known.why

    def never(self, group: str) -> bool:
        """Whether it waits, and no node that is there can hold it."""
        known = self._all.get(group)
        return known is not None and known.phase == m.WAITING and known.never

    def removed(self, group: str) -> bool:
        """Whether it is known to be over."""
        known = self._all.get(group)
        return group in self._gone if known is None else known.phase == m.REMOVED

    def take_ended(self) -> list[str]:
        """Those that have ended since this was last asked."""
        ended, self._ended_now = self._ended_now, []
        return ended

    # -- what nodes say ---------------------------------------------------------------

    def reserved(self, message: m.BundlesReserved, now: float) -> list[HeadEffect]:
        """A node has taken its bundles."""
        group = self._all.get(message.id)
        node = node_of(message.sender)
        if group is None or message.attempt != group.attempt or node not in group.missing:
            return []
        group.missing.discard(node)
        return [] if group.missing else self._commit(group, now)

    def retry(self, now: float) -> list[HeadEffect]:
        """Place what waits; to be called when something became free, or a node has come."""
        out: list[HeadEffect] = []
        left: dict[int, m.Shape] | None = None  # the same for all, until one is placed
        alike: dict[object, tuple[str, bool]] = {}
        """Why those had no room that ask for the same."""
        for group in list(self._open.values()):
            if group.reserving:
                found = self._elsewhere(group, now)
                if found:
                    left = None
                    alike.clear()
            elif group.phase == m.WAITING and group.kind in alike:
                found = self._says(group, *alike[group.kind])
            else:
                left = left or self._left()
                found = self._place(group, now, left)
                if group.asked:
                    left = None
                elif group.phase == m.WAITING:
                    alike[group.kind] = group.why, group.never
            out.extend(found)
        return out

    def tick(self, now: float) -> list[HeadEffect]:
        """Look for other places where reservations have taken long."""
        out: list[HeadEffect] = []
        for group in list(self._open.values()):
            if group.due is not None and now >= group.due:
                group.due = None  # from now on whatever becomes free has it looked at
                out.extend(self._elsewhere(group, now))
        return out

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min((one.due for one in self._open.values() if one.due is not None), default=None)

    def node_lost(self, node: int, now: float) -> list[HeadEffect]:
        """A node is gone: drivers there have ended, and bundles there are placed again."""
        early = {one for key, waiting in self._early.items() for one in (_maker(key), *waiting)}
        out = self._never_made({one for one in early if node_of(one) == node})
        self.promises.lost(node)
        for group in list(self._all.values()):
            group.watchers = [one for one in group.watchers if node_of(one) != node]
            if group.phase == m.REMOVED:
                continue
            if node_of(group.spec.job) == node:
                out.extend(self._orphaned(group, "its driver's node is gone"))
            if group.phase != m.REMOVED and node in group.nodes:
                out.extend(self._bereft(group, node, now))
        return [*out, *self.retry(now)]

    def clients_died(self, clients: Iterable[int]) -> list[HeadEffect]:
        """Drivers have ended: so do their groups, unless they are detached."""
        gone = set(clients)
        out = self._never_made(gone)
        for group in list(self._all.values()):
            if any(one in gone for one in group.watchers):
                group.watchers = [one for one in group.watchers if one not in gone]
            if group.spec.job in gone:
                out.extend(self._orphaned(group, "its driver has ended"))
        return out

    def _never_made(self, gone: set[int]) -> list[HeadEffect]:
        """Clients are dead: what they were to make never comes, and they watch nothing."""
        out: list[HeadEffect] = []
        for group, waiting in list(self._early.items()):
            waiting[:] = [one for one in waiting if one not in gone]
            if _maker(group) in gone:
                out.extend(self._unknown(group, one) for one in waiting)
                waiting.clear()
            if not waiting:
                del self._early[group]
        return out

    def _orphaned(self, group: _Group, why: str) -> list[HeadEffect]:
        group.orphan = True
        kept = group.spec.detached or group.spec.actor is not None
        return [] if kept else self._end(group, why)

    def actor_died(self, key: tuple[int, int]) -> list[HeadEffect]:
        """An actor has ended for good: so do groups that it has made, if their driver has, too."""
        out: list[HeadEffect] = []
        for group in list(self._all.values()):
            spec = group.spec
            if spec.actor != key or spec.detached:
                continue
            group.spec = msgspec.structs.replace(spec, actor=None)
            if group.orphan:
                out.extend(self._end(group, "the actor that made it has ended"))
        return out

    # -- within -----------------------------------------------------------------------

    def _ask(self, group: _Group) -> Ask:
        spec = group.spec
        rest = {i: shape for i, shape in enumerate(spec.bundles) if not group.nodes[i]}
        used = [node for node in group.nodes if node]
        return Ask(rest, spec.strategy, spec.selectors, used, spec.target)

    def _left(self) -> dict[int, m.Shape]:
        """What actors and groups leave of each node."""
        return {n.number: self.promises.left(n) for n in self._nodes() if not n.leaving}

    def _place(
        self, group: _Group, now: float, left: dict[int, m.Shape] | None = None
    ) -> list[HeadEffect]:
        nodes = [node for node in self._nodes() if not node.leaving]
        if not nodes:
            return []
        ask = self._ask(group)
        left = left or self._left()
        free = {node.number: self.promises.free(node, left[node.number]) for node in nodes}
        # Leases come back to whoever waits on the node; what actors and groups hold does not.
        found = plan(ask, nodes, free)
        if found is None or ask.strategy == "SPREAD":
            later = plan(ask, nodes, left)
            if found is None or (later and len(set(later.values())) > len(set(found.values()))):
                found = later
        if found is None:
            return self._waits(group, ask, nodes, left)
        group.began = now
        group.due = now + STUCK
        group.attempt += 1
        group.attempts += 1
        out: list[HeadEffect] = []
        by_node: dict[int, dict[int, m.Shape]] = {}
        for index, number in found.items():
            group.nodes[index] = number
            by_node.setdefault(number, {})[index] = ask.bundles[index]
            self.promises.make(number, ask.bundles[index])
        group.asked = {number: list(bundles) for number, bundles in by_node.items()}
        group.missing = set(by_node)
        group.whole = len(by_node) == 1
        for number, bundles in by_node.items():
            wish = m.ReserveBundles(HEAD, group.spec.id, bundles, group.attempt, group.whole)
            out.append(Send(node_client(number), wish))
        return out

    def _commit(self, group: _Group, now: float) -> list[HeadEffect]:
        out: list[HeadEffect] = []
        if not group.whole:
            told = m.CommitBundles(HEAD, group.spec.id)
            out.extend(Send(node_client(number), told) for number in group.asked)
        group.asked = {}
        group.due = None
        if all(group.nodes):
            del self._open[group.spec.id]
            group.phase = m.PLACED
            group.why, group.never = "", False
            group.delays = (now - group.born, now - group.began)
            return [*out, *self._tell(group)]
        return [*out, *self._place(group, now)]

    def _elsewhere(self, group: _Group, now: float) -> list[HeadEffect]:
        """A reservation takes long: whether all of it has room elsewhere at once."""
        if not group.reserving or now < group.began + STUCK:
            return []
        nodes = [n for n in self._nodes() if not n.leaving and n.number not in group.missing]
        spec = group.spec
        waiting = {i for i, n in enumerate(group.nodes) if n in group.missing}
        bundles = {i: spec.bundles[i] for i in waiting}
        used = [n for i, n in enumerate(group.nodes) if n and i not in waiting]
        if spec.strategy == "STRICT_PACK":
            used = []
        free = {node.number: self.promises.free(node, self.promises.left(node)) for node in nodes}
        ask = Ask(bundles, spec.strategy, spec.selectors, used, spec.target)
        if plan(ask, nodes, free) is None:
            return []
        out = self._withdraw(group, "it has room elsewhere")
        return [*out, *self._place(group, now)]

    def _withdraw(self, group: _Group, why: str) -> list[HeadEffect]:
        """Give back what is being reserved."""
        out: list[HeadEffect] = []
        whole = group.phase == m.WAITING
        for number, indices in group.asked.items():
            for index in indices:
                self.promises.end(number, group.spec.bundles[index], number not in group.missing)
                group.nodes[index] = 0
            if whole:
                out.append(Send(node_client(number), m.ReturnBundles(HEAD, group.spec.id, why)))
            else:
                told = m.ReturnBundles(HEAD, group.spec.id, why, indices)
                out.append(Send(node_client(number), told))
        group.asked = {}
        group.missing = set()
        group.due = None
        return out

    def _bereft(self, group: _Group, node: int, now: float) -> list[HeadEffect]:
        """A node with bundles of the group is gone."""
        for index, number in enumerate(group.nodes):
            if number == node:
                group.nodes[index] = 0  # what was promised there is forgotten with the node
        group.asked.pop(node, None)
        group.missing.discard(node)
        self._open[group.spec.id] = group
        if group.phase == m.PLACED:
            group.phase = m.REPLACING
            group.born = now
            return self._tell(group)
        if group.phase == m.WAITING:
            return self._withdraw(group, "a node with another part of it is gone")
        if group.reserving and not group.missing:
            return self._commit(group, now)
        return []

    def _waits(
        self, group: _Group, ask: Ask, nodes: Sequence[m.NodeInfo], left: dict[int, m.Shape]
    ) -> list[HeadEffect]:
        return self._says(group, *why_not(ask, nodes, left, len(group.spec.bundles)))

    def _says(self, group: _Group, why: str, never: bool) -> list[HeadEffect]:
        if (why, never) == (group.why, group.never):
            return []
        group.why, group.never = why, never
        return self._tell(group)

    def _end(self, group: _Group, why: str) -> list[HeadEffect]:
        if group.phase == m.REMOVED:
            return []
        spec = group.spec
        nodes = sorted({node for node in group.nodes if node})
        for index, number in enumerate(group.nodes):
            if number:
                self.promises.end(number, spec.bundles[index], True)
        group.asked, group.missing = {}, set()
        self._open.pop(spec.id, None)
        if self._names.get((spec.namespace, spec.name)) == spec.id:
            del self._names[spec.namespace, spec.name]
        group.phase = m.REMOVED
        group.why = why
        self._ended_now.append(spec.id)
        cause = "its placement group was removed" + (f": {why}" if why else "")
        told = m.ReturnBundles(HEAD, spec.id, cause)
        out: list[HeadEffect] = [Send(node_client(number), told) for number in nodes]
        out = [*self._tell(group), *out]
        group.watchers.clear()
        self._removed.append(spec.id)
        if len(self._removed) > REMOVED_KEPT:
            oldest = self._removed.pop(0)
            del self._all[oldest]
            self._forgotten(oldest)
        return out

    def _forgotten(self, group: str) -> None:
        """All that is known from now on is that it is not there."""
        self._gone[group] = None
        while len(self._gone) > GONE_KEPT:
            del self._gone[next(iter(self._gone))]

    def _tell(self, group: _Group) -> list[HeadEffect]:
        told = self._told(group)
        return [Send(watcher, told) for watcher in group.watchers]

    @staticmethod
    def _told(group: _Group) -> m.GroupState:
        spec = group.spec
        return m.GroupState(HEAD, spec.id, group.phase, group.why, group.never, spec.name)

    @staticmethod
    def _unknown(group: str, watcher: int) -> HeadEffect:
        return Send(watcher, m.GroupState(HEAD, group, m.REMOVED, "it is not there any more"))

    def check(self) -> None:
        """Raise if a promise is lost or counted twice; for tests and simulations."""
        promised: dict[int, m.Shape] = {}
        for group in self._all.values():
            if group.phase == m.REMOVED:
                assert not group.asked
                continue
            for index, number in enumerate(group.nodes):
                if number:
                    give(promised.setdefault(number, {}), group.spec.bundles[index])
            assert group.spec.id in self._open or all(group.nodes), "a group lacks bundles unseen"
        self.promises.check(promised)
