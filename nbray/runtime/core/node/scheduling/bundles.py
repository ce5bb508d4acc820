"""The bundles of placement groups on one node: reserved, committed, given back.

Owns which bundles this node has, or is to have as soon as there is room, and the resources under
whose names work is done in them (`CPU_group_0_ID`, ...). Does not own groups (the head does) nor
what runs in them. Rules: what a bundle has is taken out of what is free first, and is there under
its own names only once all of the group is reserved; it goes back when the last process that
held something of it is gone, not earlier.
"""

from __future__ import annotations

from nbray.ids import HEAD
from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.leases import Holding, Leases, Ledger
from nbray.runtime.core.node.scheduling.resident_actors import Residents
from nbray.runtime.core.node.scheduling.scheduler import Hunger, Scheduler
from nbray.runtime.core.node.scheduling.workers import WorkerPool
from nbray.runtime.core.placement import BUNDLE, group_of, of_group
from nbray.wire import messages as m


class _Bundle:
    """One bundle on this node."""

    __slots__ = ("ending", "gpus", "group", "index", "open", "shape")

    def __init__(self, group: str, index: int, shape: m.Shape, gpus: list[int]) -> None:
        self.group = group
        self.index = index
        self.shape = shape
        self.gpus = gpus
        self.open = False
        """Work may begin in it."""
        self.ending = False

    def names(self) -> m.Shape:
        """What it has, by the names under which work asks for it."""
        found: m.Shape = {}
        for name, amount in {**self.shape, "bundle": BUNDLE}.items():
            found[of_group(name, self.group)] = amount
            found[of_group(name, self.group, self.index)] = amount
        return found


class _Wish:
    """Bundles of one group that have no room yet."""

    __slots__ = ("message", "need", "passed")

    def __init__(self, message: m.ReserveBundles) -> None:
        self.message = message
        self.need: m.Shape = {}
        for shape in message.bundles.values():
            for name, amount in shape.items():
                self.need[name] = self.need.get(name, 0) + amount
        self.passed = 0.0


class Bundles:
    """Those of one node. *me* is the node's client id."""

    def __init__(
        self, me: int, ledger: Ledger, pool: WorkerPool, leases: Leases, scheduler: Scheduler,
        residents: Residents,
    ) -> None:  # fmt: skip
        self._me = me
        self._ledger = ledger
        self._pool = pool
        self._leases = leases
        self._scheduler = scheduler
        self._residents = residents
        self._all: dict[tuple[str, int], _Bundle] = {}
        self._wishes: list[_Wish] = []
        self.changed = False
        """Which names there are has changed since the head was last told."""

    @property
    def active(self) -> bool:
        """Whether there is any."""
        return bool(self._all or self._wishes)

    def leave(self, name: str, amount: int) -> bool:
        """Whether they leave as much of a resource to everybody else."""
        if not self._all:
            return True
        have = sum(bundle.shape.get(name, 0) for bundle in self._all.values())
        return self._ledger.total.get(name, 0) - have >= amount

    def names(self) -> m.Shape:
        """All resources under groups' names, in total."""
        found: m.Shape = {}
        for bundle in self._all.values():
            if bundle.open and not bundle.ending:
                for name, amount in bundle.names().items():
                    found[name] = found.get(name, 0) + amount
        return found

    # -- what the head says -----------------------------------------------------------

    def handle(
        self, message: m.ReserveBundles | m.CommitBundles | m.ReturnBundles, now: float
    ) -> list[NodeEffect]:
        """Take one of its messages."""
        if isinstance(message, m.ReturnBundles):
            return self.give_back(message, now)
        if isinstance(message, m.CommitBundles):
            self.commit(message.id)
        else:
            self.reserve(message)
        return []

    def reserve(self, message: m.ReserveBundles) -> None:
        """Take these bundles out of what is free as soon as they fit (see `place`)."""
        self._wishes.append(_Wish(message))

    def commit(self, group: str) -> None:
        """Everything of the group is reserved."""
        for bundle in self._all.values():
            if bundle.group == group and not bundle.open and not bundle.ending:
                self._open(bundle)

    def give_back(self, message: m.ReturnBundles, now: float) -> list[NodeEffect]:
        """End what runs in these bundles; what they have is free when it is gone (`settle`)."""
        group, chosen = message.id, message.bundles
        out: list[NodeEffect] = []
        for wish in self._wishes[:]:
            indices = wish.message.bundles
            if wish.message.id == group and (not chosen or set(indices) <= set(chosen)):
                self._wishes.remove(wish)
        ended = [
            bundle for (name, index), bundle in self._all.items()
            if name == group and (not chosen or index in chosen)
        ]  # fmt: skip
        for bundle in ended:
            if bundle.open and not bundle.ending:  # nobody is let in any more
                self.changed = True
                name = of_group("GPU", bundle.group, bundle.index)
                self._ledger.shrink(bundle.names(), name)
            bundle.ending = True
        if any(bundle.open for bundle in ended):
            for holding in self._holdings(group):
                worker = self._pool.get(holding.worker)
                if worker is not None:
                    out.extend(self._pool.end(worker, message.why, now))
        return out

    # -- after every step -------------------------------------------------------------

    def place(self, now: float, out: list[NodeEffect]) -> list[Hunger]:
        """Reserve what there is room for, first come first served; what is left."""
        starved: list[Hunger] = []
        if not self._wishes:
            return starved
        kept = self._scheduler.kept(now)
        waiting, self._wishes = self._wishes, []
        for wish in waiting:
            if kept.leaves(wish.need, self._ledger.free) and self._take(wish):
                kept.taken(wish.need)
                told = m.BundlesReserved(self._me, wish.message.id, wish.message.attempt)
                out.append(Send(HEAD, told))
                continue
            wish.passed = wish.passed or now
            kept.keep(wish.need, wish.passed)
            self._wishes.append(wish)
            starved.append(Hunger(wish.need, 0, 0, 0, 0, None, wish.passed))
        return starved

    def settle(self) -> None:
        """Give back what is to end and in which nobody is any more."""
        ending = [bundle for bundle in self._all.values() if bundle.ending]
        if not ending:
            return
        busy = {group_of(one.resources) for one in [*self._leases, *self._residents.holdings()]}
        for bundle in ending:
            if bundle.group not in busy:
                self._close(bundle)

    # -- within -----------------------------------------------------------------------

    def _holdings(self, group: str) -> list[Holding]:
        both: list[Holding] = [*self._leases, *self._residents.holdings()]
        return [one for one in both if group_of(one.resources) == group]

    def _take(self, wish: _Wish) -> bool:
        """Reserve all bundles of a wish, or none."""
        taken: list[_Bundle] = []
        for index, shape in wish.message.bundles.items():
            gpus = None
            if (wish.message.id, index) not in self._all:  # an older one may not be gone yet
                gpus = self._ledger.take(shape)
            if gpus is None:
                for bundle in taken:
                    self._ledger.give(bundle.shape, bundle.gpus)
                    del self._all[bundle.group, bundle.index]
                return False
            made = _Bundle(wish.message.id, index, shape, gpus)
            self._all[made.group, index] = made
            taken.append(made)
        if wish.message.whole:
            for bundle in taken:
                self._open(bundle)
        return True

    def _open(self, bundle: _Bundle) -> None:
        bundle.open = True
        self.changed = True
        name = of_group("GPU", bundle.group, bundle.index)
        self._ledger.extend(bundle.names(), bundle.gpus, name, bundle.shape.get("GPU", 0))

    def _close(self, bundle: _Bundle) -> None:
        if bundle.open:
            self._ledger.forget(bundle.names())
        self._ledger.give(bundle.shape, bundle.gpus)
        del self._all[bundle.group, bundle.index]

    def check(self) -> m.Shape:
        """What bundles have of the node's own resources, for the books' check."""
        found: m.Shape = {}
        for bundle in self._all.values():
            for name, amount in bundle.shape.items():
                found[name] = found.get(name, 0) + amount
        return found
