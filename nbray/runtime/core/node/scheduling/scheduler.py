"""Who gets the next worker of a node, and whose lease is asked back for it.

Owns the order: actors to be started first, then wants by depth (deepest first,
so that blocked parents finish), then clients in turn, then by age. Does not
own the books (`leases`). Rules: whoever waits only for leases to come back has
what is free kept for him (`Kept`), so that small shapes cannot starve a large
one, nor a large one that waits for long tasks the small ones; a lease is asked
back once, and only if moving it is fair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.leases import Key, Lease, Leases, Ledger, Want
from nbray.runtime.core.node.scheduling.workers import State, Worker, WorkerPool
from nbray.runtime.core.placement import fits, give, take, threads, zero_limit
from nbray.wire.messages import Granted, Reclaim, Shape

SLICE = 0.02
"""Seconds a lease is left alone before it is asked back for somebody's fair share."""
COMING = 0.05
"""Seconds after which a lease that was asked back is no longer counted on: its task is long."""
PATIENCE = 1.0
"""Seconds for which what is free is kept for whoever waits for long tasks, before others get it
for as long, then he for twice as long, and so on."""
REST = 0.002
REST_REMOTE = 0.05
"""Seconds that a client which gave a lease back unasked is given none (it says what it wants)."""


class Hunger:
    """Something that could not be served: a want, or an actor to be started."""

    __slots__ = ("client", "depth", "held", "held_here", "need", "since", "want")

    def __init__(
        self, need: Shape, depth: int, client: int, held: int, held_here: int,
        want: Want | None, since: float | None = math.inf,
    ) -> None:
        self.need = need
        self.depth = depth
        self.client = client
        self.held = held
        """Leases of this shape it has on this node."""
        self.held_here = held_here
        """Leases of any shape its client has on this node."""
        self.want = want
        self.since = since
        """Since when it has been passed over (infinite: it goes first; None: nothing is kept)."""


class Kept:
    """What of the free resources is kept for those who wait, in the order in which they are named.

    Nothing is kept for who lacks more than all leases could give back. For who lacks only what is
    about to come back, all that he needs; for who waits for long tasks, the same in turns with
    everybody else that double in length (1 s he, 1 s they, 2 s he, 4 s they, ...), so that tasks
    of any length come to their end in a turn of his and nobody waits for ever in one of theirs.
    """

    def __init__(self, free: Shape, leases: Iterable[Lease], now: float) -> None:
        self._now = now
        self._kept: Shape = {}
        self._soon = dict(free)
        """What would be free if the leases came back that are young or were just asked back."""
        self._ever = dict(free)
        """The same if every lease came back."""
        self._young = math.inf
        """When the first of those stops being so."""
        self.until = math.inf
        """When something else may be kept."""
        for lease in leases:
            frees = lease.frees()
            give(self._ever, frees)
            old = max(lease.granted, lease.reclaimed) + PATIENCE
            if now < old:
                give(self._soon, frees)
                self._young = min(self._young, old)

    def taken(self, need: Shape) -> None:
        """Somebody has got *need* for life."""
        take(self._ever, need)
        take(self._soon, need)

    def keep(self, need: Shape, since: float | None) -> None:
        """Somebody has waited for *need* since *since* (None: not for any of this)."""
        if since is None or not fits(need, self._ever):
            return
        if fits(need, self._soon):
            self.until = min(self.until, self._young)
        elif not self._turn(since):
            return
        self.taken(need)
        give(self._kept, need)

    def leaves(self, need: Shape, free: Shape) -> bool:
        """Whether nothing of what is *free* and kept is touched by taking *need* of it."""
        if not self._kept:
            return True
        left = dict(free)
        take(left, {name: self._kept.get(name, 0) for name in need})
        return fits(need, left)

    def _turn(self, since: float) -> bool:
        """Whether it is his turn, and not everybody else's."""
        waited = max(0.0, self._now - since) / PATIENCE
        turn = math.frexp(waited)[1] if waited >= 1 else 0
        self.until = min(self.until, since + PATIENCE * 2**turn)
        return turn % 2 == 0


class Scheduler:
    """Hands out workers of one node. `me` is the node's client id."""

    def __init__(
        self, me: int, node: int, ledger: Ledger, pool: WorkerPool, leases: Leases
    ) -> None:
        self._me = me
        self._node = node
        self._ledger = ledger
        self._pool = pool
        self._leases = leases
        self._turn = 0
        self._turns: dict[int, int] = {}
        """When (by count of grants) each client was last served."""
        self._next_worker = 0
        self.closed = False
        """The node leaves: nobody is given a lease any more."""
        self.most: dict[Key, int] = {}
        """Most leases at a time of shapes for which memory was short (see `memory_guard`)."""
        self.stuck = ""
        """Why `obtain` found no worker when it last found none."""
        self.recheck: float | None = None
        """When a lease becomes old enough to be asked back."""

    def numbers_from(self, first: int) -> None:
        """Client ids of workers count up from *first*."""
        self._next_worker = first

    def forget(self, client: int) -> None:
        """A client is gone."""
        self._turns.pop(client, None)

    # -- workers ------------------------------------------------------------------

    def fork(self, count: int, now: float) -> tuple[Worker, list[NodeEffect]]:
        """Fork a worker with this thread setting, for whoever books it."""
        client = self._next_worker
        self._next_worker += 1
        return self._pool.fork(client, count, now)

    def obtain(
        self, need: Shape, now: float, out: list[NodeEffect], fresh: bool = False,
        env: bytes = b"",
    ) -> Worker | None:
        """Book a worker fit for *need*, forking one if need be; None at the cap on processes.

        *fresh*: for an actor, who does not get the last process there can be: tasks would wait
        for its end. *env*: the environment that it has, or is to enter.
        """
        setting = threads(need)
        worker = self._pool.spare(setting, fresh, bool(need.get("GPU")), env)
        if fresh and not self._pool.spares_one():
            self.stuck = self._pool.why_full()
            return None
        if worker is None:
            if now < self._pool.paused_until:
                self.stuck = self._pool.why_paused(now)
                return None
            if self._pool.full(fresh):
                self.stuck = self._pool.why_full()
                idle = self._pool.evict(now)
                if idle is not None:
                    out.append(self._pool.ask(idle, "room for another kind of worker", now))
                return None  # a death makes the room
            worker, effects = self.fork(setting, now)
            out.extend(effects)
        worker.booked = True
        worker.env = env
        return worker

    # -- grants -------------------------------------------------------------------

    def grant(
        self, hungry_actors: list[Hunger], now: float
    ) -> tuple[list[NodeEffect], list[Hunger]]:
        """Serve every want that can be served; effects, and who is left, in order."""
        self.recheck = None
        out: list[NodeEffect] = []
        starved = list(hungry_actors)
        kept = self.kept(now)
        for hunger in starved:
            kept.keep(hunger.need, hunger.since)
        wants = [want for want in self._leases.wants.values() if self._hungry(want)]
        for want in [want for want in wants if want.rests > now]:
            wants.remove(want)
            self._look_again(want.rests)
        while wants:
            want = min(wants, key=self._order)
            if self._serve(want, kept, now, out):
                if not self._hungry(want):
                    wants.remove(want)
                continue
            wants.remove(want)
            client = want.key[0]
            here = self._leases.held_by(client)
            want.passed = want.passed or now
            need, since = want.resources, want.passed
            starved.append(Hunger(need, want.depth, client, want.held, here, want, since))
            if not want.stuck:
                kept.keep(need, since)
        if kept.until < math.inf:
            self._look_again(kept.until)
        return out, starved

    def kept(self, now: float) -> Kept:
        """Nothing yet, for who is passed over to be named."""
        return Kept(self._ledger.free, self._leases, now)

    def _hungry(self, want: Want) -> bool:
        if self.closed or want.unmet <= want.away or want.node not in (0, self._node) or want.there:
            return False
        if self.most and want.held >= self.most.get(want.key, want.count):
            return False
        if any(want.resources.values()):
            return True
        return want.held < zero_limit(self._ledger.total)

    def _order(self, want: Want) -> tuple[int, int, float, int]:
        client, shape = want.key
        return (-want.depth, self._turns.get(client, 0), want.since, shape)

    def _serve(self, want: Want, kept: Kept, now: float, out: list[NodeEffect]) -> bool:
        want.stuck = ""
        need = want.resources
        if not kept.leaves(need, self._ledger.free):
            return False
        gpus = self._ledger.take(need)
        if gpus is None:
            return False
        worker = self.obtain(need, now, out, env=want.env)
        if worker is None:
            self._ledger.give(need, gpus)
            want.stuck = self.stuck
            return False
        lease = self._leases.grant(want, worker.client, gpus, now)
        want.passed = 0.0
        self._turn += 1
        self._turns[want.key[0]] = self._turn
        if worker.state is State.IDLE:
            out.extend(self.tell(lease, worker, now))
        return True

    def tell(self, lease: Lease, worker: Worker, now: float) -> list[NodeEffect]:
        """The lease's worker is ready: the client may push to it."""
        worker.move("lease", now)
        lease.told = True
        lease.granted = now
        client, shape = lease.key
        return [Send(client, Granted(self._me, shape, lease.number, lease.worker, lease.gpus))]

    # -- asking back --------------------------------------------------------------

    def reclaim(self, starved: list[Hunger], now: float) -> list[NodeEffect]:
        """Ask leases back for those who wait, where that is fair."""
        out: list[NodeEffect] = []
        if not starved or not self._leases.leases:
            return out
        coming = dict(self._ledger.free)
        for lease in self._leases:
            if lease.reclaimed and now < lease.reclaimed + COMING:
                give(coming, lease.frees())
                self._look_again(lease.reclaimed + COMING)
        losses: dict[int, int] = {}
        for hunger in starved:
            if hunger.want is not None and hunger.want.stuck:
                continue
            chosen = self._victims(hunger, coming, losses, now)
            for lease in chosen:
                lease.reclaimed = now
                self._look_again(now + COMING)
                losses[lease.key[0]] = losses.get(lease.key[0], 0) + 1
                give(coming, lease.frees())
                out.append(Send(lease.key[0], Reclaim(self._me, lease.number)))
            if fits(hunger.need, coming):
                take(coming, hunger.need)
        return out

    def _victims(
        self, hunger: Hunger, coming: Shape, losses: dict[int, int], now: float
    ) -> list[Lease]:
        if fits(hunger.need, coming):
            return []
        lacking = [name for name, amount in hunger.need.items() if amount > coming.get(name, 0)]
        candidates = [
            lease
            for lease in self._leases
            if lease.told
            and not lease.reclaimed
            and any(lease.frees().get(name, 0) > 0 for name in lacking)
            and self._fair(hunger, lease, losses, now)
        ]

        def merit(lease: Lease) -> tuple[bool, int, int, float, int]:
            most = -self._leases.held_by(lease.key[0])
            return (not self._content(lease), lease.depth, most, lease.granted, lease.number)

        candidates.sort(key=merit)
        # Which of the content ones is idle only its client knows: all are asked back.
        chosen = [lease for lease in candidates if self._content(lease)]
        trial = dict(coming)
        for lease in chosen:
            give(trial, lease.frees())
        if fits(hunger.need, trial):
            return chosen
        for lease in candidates[len(chosen) :]:
            chosen.append(lease)
            give(trial, lease.frees())
            if fits(hunger.need, trial):
                return chosen
        return []

    def _content(self, lease: Lease) -> bool:
        """Its client has as many workers of the shape as it wants."""
        want = self._leases.wants.get(lease.key)
        return want is None or want.content

    def _look_again(self, due: float) -> None:
        self.recheck = due if self.recheck is None else min(self.recheck, due)

    def _fair(self, hunger: Hunger, lease: Lease, losses: dict[int, int], now: float) -> bool:
        client = lease.key[0]
        if hunger.want is not None and lease.key == hunger.want.key:
            return False
        if self._content(lease):
            return True
        if hunger.depth < lease.depth:
            return False
        if hunger.depth == lease.depth:
            if client == hunger.client:
                want = self._leases.wants[lease.key]
                mine, theirs = hunger.held, want.held
            else:
                mine, theirs = hunger.held_here, self._leases.held_by(client)
            theirs -= losses.get(client, 0)
            if not (theirs > mine + 1 or (mine == 0 and theirs >= 1)):
                return False
        if now < lease.granted + SLICE:
            self._look_again(lease.granted + SLICE)
            return False
        return True
