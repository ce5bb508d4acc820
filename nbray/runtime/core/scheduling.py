"""Who gets the next worker of a node, and whose lease is asked back for it.

Owns the order: actors to be started first, then wants by depth (deepest first,
so that blocked parents finish), then clients in turn, then by age. Does not
own the books (`leases`). Rules: a want that waits only for leases to come back
has what is free reserved for it, so that small shapes cannot starve a large
one; a lease is asked back once, and only if moving it is fair.
"""

from __future__ import annotations

from nbray.runtime.core.effects import Effect, Send
from nbray.runtime.core.leases import Lease, Leases, Ledger, Want
from nbray.runtime.core.placement import fits, give, take, threads, zero_limit
from nbray.runtime.core.workers import Pool, State, Worker
from nbray.wire.messages import Exit, Granted, Reclaim, Shape

SLICE = 0.02
"""Seconds a lease is left alone before it is asked back for somebody's fair share."""
COMING = 0.05
"""Seconds after which a lease that was asked back is no longer counted on: its task is long."""
REST = 0.002
REST_REMOTE = 0.05
"""Seconds that a client which gave a lease back unasked is given none (it says what it wants)."""


class Hunger:
    """Something that could not be served: a want, or an actor to be started."""

    __slots__ = ("client", "depth", "held", "held_here", "need", "want")

    def __init__(
        self, need: Shape, depth: int, client: int, held: int, held_here: int, want: Want | None
    ) -> None:
        self.need = need
        self.depth = depth
        self.client = client
        self.held = held
        """Leases of this shape it has on this node."""
        self.held_here = held_here
        """Leases of any shape its client has on this node."""
        self.want = want


class Scheduler:
    """Hands out workers of one node. `me` is the node's client id."""

    def __init__(self, me: int, node: int, ledger: Ledger, pool: Pool, leases: Leases) -> None:
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

    def fork(self, count: int, now: float) -> tuple[Worker, list[Effect]]:
        """Fork a worker with this thread setting, for whoever books it."""
        client = self._next_worker
        self._next_worker += 1
        return self._pool.fork(client, count, now)

    def obtain(
        self, need: Shape, now: float, out: list[Effect], fresh: bool = False
    ) -> Worker | None:
        """Book a worker fit for *need*, forking one if need be; None at the cap on processes.

        *fresh*: for an actor, who does not get the last process there can be: tasks would wait
        for its end.
        """
        setting = threads(need)
        worker = self._pool.spare(setting, fresh)
        if fresh and not self._pool.spares_one():
            self.stuck = self._pool.why_full()
            return None
        if worker is None:
            if now < self._pool.paused_until:
                self.stuck = "worker processes end as soon as they start (the node's log says why)"
                return None
            if self._pool.full(fresh):
                self.stuck = self._pool.why_full()
                idle = self._pool.evict(now)
                if idle is not None:
                    self._pool.ask(idle, now)
                    why = "room for another kind of worker"
                    out.append(Send(idle.client, Exit(self._me, why, if_idle=True)))
                return None  # a death makes the room
            worker, effects = self.fork(setting, now)
            out.extend(effects)
        worker.booked = True
        return worker

    # -- grants -------------------------------------------------------------------

    def grant(self, hungry_actors: list[Hunger], now: float) -> tuple[list[Effect], list[Hunger]]:
        """Serve every want that can be served; effects, and who is left, in order."""
        self.recheck = None
        out: list[Effect] = []
        starved = list(hungry_actors)
        held_back: Shape = {}
        promised = self._returnable()
        for hunger in starved:
            self._reserve(hunger.need, promised, held_back)
        wants = [want for want in self._leases.wants.values() if self._hungry(want)]
        for want in [want for want in wants if want.rests > now]:
            wants.remove(want)
            self._look_again(want.rests)
        while wants:
            want = min(wants, key=self._order)
            if self._serve(want, held_back, now, out):
                if not self._hungry(want):
                    wants.remove(want)
                continue
            wants.remove(want)
            client = want.key[0]
            everywhere = self._leases.held_by(client)
            starved.append(
                Hunger(want.resources, want.depth, client, want.held, everywhere, want)
            )
            if not want.stuck:
                self._reserve(want.resources, promised, held_back)
        return out, starved

    def _hungry(self, want: Want) -> bool:
        if self.closed or not want.unmet or want.node not in (0, self._node):
            return False
        if any(want.resources.values()):
            return True
        return want.held < zero_limit(self._ledger.total)

    def _order(self, want: Want) -> tuple[int, int, float, int]:
        client, shape = want.key
        return (-want.depth, self._turns.get(client, 0), want.since, shape)

    def _serve(self, want: Want, held_back: Shape, now: float, out: list[Effect]) -> bool:
        want.stuck = ""
        need = want.resources
        if held_back:
            free = dict(self._ledger.free)
            take(free, {name: held_back.get(name, 0) for name in need})
            if not fits(need, free):
                return False
        gpus = self._ledger.take(need)
        if gpus is None:
            return False
        worker = self.obtain(need, now, out)
        if worker is None:
            self._ledger.give(need, gpus)
            want.stuck = self.stuck
            return False
        lease = self._leases.grant(want, worker.client, gpus, now)
        self._turn += 1
        self._turns[want.key[0]] = self._turn
        if worker.state is State.IDLE:
            out.extend(self.tell(lease, worker, now))
        return True

    def tell(self, lease: Lease, worker: Worker, now: float) -> list[Effect]:
        """The lease's worker is ready: the client may push to it."""
        worker.move("lease", now)
        lease.told = True
        lease.granted = now
        client, shape = lease.key
        return [Send(client, Granted(self._me, shape, lease.number, lease.worker, lease.gpus))]

    def _returnable(self) -> Shape:
        """What would be free if every lease came back."""
        promised = dict(self._ledger.free)
        for lease in self._leases:
            give(promised, lease.resources)
            if lease.lent:
                promised["CPU"] = promised.get("CPU", 0) - lease.lent
        return promised

    def _reserve(self, need: Shape, promised: Shape, held_back: Shape) -> None:
        """Hold back what is free for *need*, if returned leases can make up the rest."""
        if fits(need, promised):
            take(promised, need)
            give(held_back, need)

    # -- asking back --------------------------------------------------------------

    def reclaim(self, starved: list[Hunger], now: float) -> list[Effect]:
        """Ask leases back for those who wait, where that is fair."""
        out: list[Effect] = []
        if not starved or not self._leases.leases:
            return out
        coming = dict(self._ledger.free)
        for lease in self._leases:
            if lease.reclaimed and now < lease.reclaimed + COMING:
                give(coming, self._frees(lease))
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
                give(coming, self._frees(lease))
                out.append(Send(lease.key[0], Reclaim(self._me, lease.number)))
            if fits(hunger.need, coming):
                take(coming, hunger.need)
        return out

    @staticmethod
    def _frees(lease: Lease) -> Shape:
        """What a lease's return adds to what is free."""
        if not lease.lent:
            return lease.resources
        return {**lease.resources, "CPU": lease.resources.get("CPU", 0) - lease.lent}

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
            and any(self._frees(lease).get(name, 0) > 0 for name in lacking)
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
            give(trial, self._frees(lease))
        if fits(hunger.need, trial):
            return chosen
        for lease in candidates[len(chosen) :]:
            chosen.append(lease)
            give(trial, self._frees(lease))
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
