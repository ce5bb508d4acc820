"""Who holds what on one node: the ledger of resources, wants and leases.

Owns the books: what is free, who asked for how many workers (`Want`), who has
which worker (`Lease`). Does not own the decision who is served next
(`scheduler`) or what other nodes give (`peers`). Rule: what the leases and
the residents took, plus what is free, is always the total (`check`).
"""

from __future__ import annotations

from collections.abc import Iterator

from nbray.ids import client_hex
from nbray.runtime.core.placement import Gpus, fits, give, take
from nbray.where import Where
from nbray.wire.messages import Shape

Key = tuple[int, int]
"""(client id, the client's number for the shape)."""


class Ledger:
    """The node's resources: the total, and what of it is free (negative if oversubscribed)."""

    def __init__(self, total: Shape) -> None:
        self.total = dict(total)
        self.free = dict(total)
        self._gpus = Gpus(total.get("GPU", 0) // 10_000)
        self.changed = False
        """What is free has changed since the head was last told."""
        self.bundle_gpus: dict[str, Gpus] = {}
        """The GPUs of placement groups' bundles, by the names of what they have."""

    def extend(self, names: Shape, gpus: list[int], gpu_name: str, gpu: int) -> None:
        """A bundle is open: its resources are there under names of their own."""
        give(self.total, names)
        give(self.free, names)
        if gpu:
            self.bundle_gpus[gpu_name] = Gpus.of(gpus, gpu)
        self.changed = True

    def shrink(self, names: Shape, gpu_name: str) -> None:
        """The bundle ends: what of it is still held is less than nothing of what is free."""
        take(self.total, names)
        take(self.free, names)
        self.bundle_gpus.pop(gpu_name, None)
        self.forget(names)

    def forget(self, names: Shape) -> None:
        """The names of which nothing is there are no resources of this node any more."""
        for name in names:
            if not self.total.get(name) and not self.free.get(name):
                self.total.pop(name, None)
                self.free.pop(name, None)
        self.changed = True

    def take(self, need: Shape) -> list[int] | None:
        """Take *need*; the GPUs' indices, or None if it does not fit."""
        if not fits(need, self.free):
            return None
        gpus = self._gpus.take(need.get("GPU", 0))
        if self.bundle_gpus and gpus is not None:
            gpus = self._bundle_gpus(need, gpus)
        if gpus is None:
            return None
        take(self.free, need)
        self.changed = True
        return gpus

    def give(self, need: Shape, gpus: list[int]) -> None:
        """Give back what was taken."""
        if self.bundle_gpus and gpus and "GPU" not in need:
            self._give_bundle_gpus(need, gpus)
        elif "GPU" in need:
            self._gpus.give(gpus, need.get("GPU", 0))
        give(self.free, need)
        self.changed = True

    def _bundle_gpus(self, need: Shape, others: list[int]) -> list[int] | None:
        """GPUs out of a bundle, if that is where *need* wants them; else *others*."""
        amount, bundles = self._of_bundles(need)
        if not amount:
            return others
        for one in bundles:
            found = one.take(amount)
            if found is not None:
                return found
        return None

    def _give_bundle_gpus(self, need: Shape, gpus: list[int]) -> None:
        amount, bundles = self._of_bundles(need)
        for one in bundles:
            if one.had(gpus, amount):
                one.give(gpus, amount)
                return

    def _of_bundles(self, need: Shape) -> tuple[int, list[Gpus]]:
        """(the amount, the bundles that can give it) of GPUs in a placement group."""
        asked = {name: n for name, n in need.items() if name.startswith("GPU_group_") and n > 0}
        if not asked:
            return 0, []
        named = max(asked, key=len)  # 'GPU_group_0_ID' rather than 'GPU_group_ID'
        group = named.rpartition("_")[2]
        known = [one for name, one in self.bundle_gpus.items() if name == named]
        if not known:
            known = [one for name, one in self.bundle_gpus.items() if name.endswith(f"_{group}")]
        return asked[named], known

    def lend(self, amount: int) -> None:
        """A blocked worker's CPUs are free for a while (negative: it takes them back)."""
        if amount:
            self.free["CPU"] = self.free.get("CPU", 0) + amount
            self.changed = True


class Holding:
    """Resources that a leased worker or an actor holds; its CPUs can be lent while it waits."""

    __slots__ = ("asked", "gpus", "lent", "resources", "worker")

    def __init__(self, worker: int, resources: Shape, gpus: list[int]) -> None:
        self.worker = worker
        self.resources = resources
        self.gpus = gpus
        self.lent = 0
        self.asked = False
        """It was asked to lend its CPUs, and has not answered."""

    def block(self, ledger: Ledger) -> None:
        """The worker waits: lend its CPUs. Idempotent."""
        if not self.lent:
            self.lent = self.resources.get("CPU", 0)
            ledger.lend(self.lent)

    def unblock(self, ledger: Ledger) -> None:
        """The worker goes on, or is about to: take its CPUs back."""
        ledger.lend(-self.lent)
        self.lent = 0

    def release(self, ledger: Ledger) -> None:
        """Give everything back for good."""
        self.unblock(ledger)
        ledger.give(self.resources, self.gpus)


class Lease(Holding):
    """A worker that a client may push tasks of one shape to."""

    __slots__ = ("depth", "granted", "key", "number", "once", "reclaimed", "told")

    def __init__(
        self, number: int, key: Key, worker: int, resources: Shape, gpus: list[int],
        depth: int, now: float,
    ) -> None:
        super().__init__(worker, resources, gpus)
        self.number = number
        self.key = key
        self.depth = depth
        self.granted = now
        self.once = False
        """What runs there must not run twice."""
        self.told = False
        """The client knows of it (the worker has registered)."""
        self.reclaimed = 0.0
        """When it was asked back (0: never)."""

    def frees(self) -> Shape:
        """What its return adds to what is free."""
        if not self.lent:
            return self.resources
        return {**self.resources, "CPU": self.resources.get("CPU", 0) - self.lent}


class Want:
    """What one client wants of one shape, and what it has of it."""

    __slots__ = (
        "asked",
        "asker",
        "away",
        "count",
        "depth",
        "env",
        "explained",
        "key",
        "late",
        "leases",
        "near",
        "node",
        "once",
        "passed",
        "remote",
        "resources",
        "rests",
        "since",
        "stuck",
        "there",
        "where",
    )  # fmt: skip

    def __init__(self, key: Key, resources: Shape, now: float) -> None:
        self.key = key
        self.resources = resources
        self.count = 0
        self.depth = 0
        self.env = b""
        """The environment its workers must have."""
        self.node = 0
        """Only on this node (0: anywhere)."""
        self.once = False
        """What runs there must not run twice."""
        self.where: Where | None = None
        """What else is said of the node."""
        self.late = False
        """It has waited for the node that it is best on."""
        self.there = False
        """What else is said keeps it off this node."""
        self.near: dict[int, int] = {}
        """Node -> how many workers are best there, for the data that they take."""
        self.away = 0
        """How many of those have room on other nodes: they are not wanted here."""
        self.asker = 0
        """The node that asks on behalf of its client (0: the client is ours)."""
        self.leases: set[int] = set()
        """Leases on this node, those whose worker is still being forked included."""
        self.remote: dict[int, int] = {}
        """Leases it holds on other nodes, as those reported."""
        self.asked: dict[int, int] = {}
        """What other nodes were asked for last."""
        self.since = now
        """Since when it has had nothing at all of what it wants."""
        self.passed = 0.0
        """Since when it has been passed over (0: it was served last time, or wants no more)."""
        self.explained = ""
        """The sentence the client has been given."""
        self.rests = 0.0
        """Until then it is given nothing, because it gave a lease back that it did not need."""
        self.stuck = ""
        """Why there is no process for it although its resources are free."""

    @property
    def held(self) -> int:
        """Leases on this node."""
        return len(self.leases)

    @property
    def unmet(self) -> int:
        """Workers still wanted."""
        return max(0, self.count - len(self.leases) - sum(self.remote.values()))

    @property
    def content(self) -> bool:
        """It has as many workers as it wants, or more."""
        return self.count <= len(self.leases) + sum(self.remote.values())

    @property
    def over(self) -> bool:
        """Nothing is wanted and nothing held: it can be forgotten."""
        return not (self.count or self.leases or self.asked or self.remote)

    def none_on(self, node: int, now: float) -> None:
        """It holds no lease on another *node* any more."""
        if self.remote.pop(node, 0) and not self.leases and not self.remote:
            self.since = now


class Leases:
    """The wants and the leases of one node, indexed every way they are looked up."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._count = 0
        self.wants: dict[Key, Want] = {}
        self.leases: dict[int, Lease] = {}
        self.by_worker: dict[int, Lease] = {}
        self._held: dict[int, int] = {}
        """Leases on this node by client."""

    def want(self, key: Key, resources: Shape, now: float) -> Want:
        """The want of this key, made if need be."""
        want = self.wants.get(key)
        if want is None:
            want = self.wants[key] = Want(key, resources, now)
        return want

    def held_by(self, client: int) -> int:
        """How many leases on this node the client holds, over all shapes."""
        return self._held.get(client, 0)

    def grant(self, want: Want, worker: int, gpus: list[int], now: float) -> Lease:
        """Note a new lease for *want*; its resources have been taken already."""
        self._count += 1
        number = (self._node << 32) | self._count
        lease = Lease(number, want.key, worker, want.resources, gpus, want.depth, now)
        lease.once = want.once
        assert worker not in self.by_worker, f"worker {client_hex(worker)} leased twice"
        self.leases[number] = lease
        self.by_worker[worker] = lease
        want.leases.add(number)
        client = want.key[0]
        self._held[client] = self._held.get(client, 0) + 1
        return lease

    def end(self, lease: Lease, ledger: Ledger) -> Want | None:
        """Take a lease out and give its resources back; the want it served, if it still stands."""
        del self.leases[lease.number]
        del self.by_worker[lease.worker]
        lease.release(ledger)
        client = lease.key[0]
        left = self._held[client] - 1
        if left:
            self._held[client] = left
        else:
            del self._held[client]
        want = self.wants.get(lease.key)
        if want is not None:
            want.leases.discard(lease.number)
        return want

    def of_client(self, client: int) -> list[Lease]:
        """The leases a client holds here."""
        return [lease for lease in self.leases.values() if lease.key[0] == client]

    def wants_of(self, client: int) -> list[Want]:
        """The wants of a client."""
        return [want for want in self.wants.values() if want.key[0] == client]

    def sweep(self, want: Want) -> None:
        """Forget a want that is over."""
        if want.over:
            self.wants.pop(want.key, None)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self.leases.values())


def check(
    ledger: Ledger, holdings: list[Holding], leases: Leases, bundles: Shape | None = None
) -> None:
    """Raise if resources were lost or given twice, or a worker is leased twice.

    *bundles* is what placement groups have.
    """
    total = dict(ledger.free)
    give(total, bundles or {})
    for holding in holdings:
        give(total, holding.resources)
        total["CPU"] = total.get("CPU", 0) - holding.lent
    for name in {*total, *ledger.total}:
        assert total.get(name, 0) == ledger.total.get(name, 0), (
            f"{name}: {total.get(name, 0)} accounted for, {ledger.total.get(name, 0)} there"
        )
    workers = [holding.worker for holding in holdings]
    assert len(workers) == len(set(workers)), "a worker serves two"
    by_want: dict[Key, set[int]] = {}
    for lease in leases:
        by_want.setdefault(lease.key, set()).add(lease.number)
        assert leases.by_worker[lease.worker] is lease
    assert len(leases.by_worker) == len(leases.leases)
    for want in leases.wants.values():
        assert want.leases == by_want.get(want.key, set()), f"want {want.key} miscounts its leases"
        assert not want.over, f"want {want.key} is over and still there"
