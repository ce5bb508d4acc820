"""CPUs that blocked workers lend: who may be asked, who lent, who waits to have his back.

Owns which workers of one node wait in `get`, and the order in which those that lent
their CPUs get them again. Does not own what the CPUs go to (`scheduler`). Rules: a
CPU is lent only while somebody lacks it, and only when its worker has said so; from
then on the worker goes on when it is told to (`Resume`), and comes before all new
work. So no more tasks run than there are CPUs.
"""

from __future__ import annotations

from nbray.runtime.core.effects import NodeEffect, Send
from nbray.runtime.core.node.scheduling.bundles import Bundles
from nbray.runtime.core.node.scheduling.leases import Holding, Leases, Ledger
from nbray.runtime.core.node.scheduling.resident_actors import Residents
from nbray.runtime.core.node.scheduling.scheduler import Hunger
from nbray.runtime.core.placement import fits
from nbray.wire import messages as m

FIRST = 1 << 30
"""The depth of what goes on: deeper than any task."""


class Lending:
    """What the blocked workers of one node lend, as processes of *leases* or of actors."""

    def __init__(
        self, me: int, ledger: Ledger, leases: Leases, residents: Residents, bundles: Bundles
    ) -> None:
        self._me = me
        self._ledger = ledger
        self._leases = leases.by_worker
        self._residents = residents.by_worker
        self._bundles = bundles
        self._blocked: dict[int, Holding] = {}
        """By worker, those that wait and have not lent; who was asked is marked."""
        self._waiting: dict[int, Holding] = {}
        """By worker, those that lent and want to go on."""

    def _holding(self, worker: int) -> Holding | None:
        lease = self._leases.get(worker)
        if lease is not None:
            return lease
        resident = self._residents.get(worker)
        return resident.holding if resident is not None else None

    # -- messages -------------------------------------------------------------------

    def blocked(self, worker: int) -> None:
        """A worker's task waits: its CPUs may be asked for."""
        holding = self._holding(worker)
        if holding is None or not holding.resources.get("CPU", 0) > 0:
            return
        if holding.lent:  # it waits once more, and lends on
            self._waiting.pop(worker, None)
            return
        holding.asked = False
        self._blocked[worker] = holding

    def lent(self, worker: int) -> list[NodeEffect]:
        """A worker agrees; if that comes too late, it is told that it lends nothing."""
        holding = self._blocked.pop(worker, None)
        if holding is None or holding is not self._holding(worker):
            return [Send(worker, m.Resume(self._me))]
        holding.block(self._ledger)
        return []

    def unblocked(self, worker: int, waits: bool) -> list[NodeEffect]:
        """A worker's task wants to go on (*waits*: when it is told to), or does so."""
        self._blocked.pop(worker, None)
        holding = self._holding(worker)
        if holding is None or not holding.lent:
            return [Send(worker, m.Resume(self._me))] if waits else []
        if waits:
            self._waiting[worker] = holding
        else:
            self._waiting.pop(worker, None)
            holding.unblock(self._ledger)
        return []

    def settle(self, worker: int, back: int | None = None) -> list[NodeEffect]:
        """What *worker* holds goes back, or what it had lent has: it lends nothing any more.

        *back*: so much of a CPU has come back, which may be less than it had lent.
        """
        holding = self._holding(worker)
        if holding is None or not holding.lent or (back is not None and back < holding.lent):
            return []
        self._waiting.pop(worker, None)
        holding.unblock(self._ledger)
        return [Send(worker, m.Resume(self._me))]

    def gone(self, worker: int) -> None:
        """A worker is dead."""
        self._blocked.pop(worker, None)
        self._waiting.pop(worker, None)

    # -- after every step -------------------------------------------------------------

    def resume(self) -> tuple[list[NodeEffect], list[Hunger]]:
        """Let go on whoever's CPUs are free again; who is left comes before all others."""
        out: list[NodeEffect] = []
        hungry: list[Hunger] = []
        for worker, holding in list(self._waiting.items()):
            need = {"CPU": holding.lent}
            back = fits(need, self._ledger.free)
            # What placement groups have taken of it does not come back by itself.
            if not hungry and (back or not self._bundles.leave("CPU", holding.lent)):
                del self._waiting[worker]
                holding.unblock(self._ledger)
                out.append(Send(worker, m.Resume(self._me)))
            else:
                hungry.append(Hunger(need, FIRST, worker, 0, 0, None))
        return out, hungry

    def ask(self, starved: list[Hunger]) -> list[NodeEffect]:
        """Ask blocked workers for the CPUs that those left over lack."""
        if not self._blocked or not starved:
            return []
        out: list[NodeEffect] = []
        coming = self._ledger.free.get("CPU", 0)
        ready: list[tuple[int, Holding]] = []
        for worker, holding in self._blocked.items():
            if holding.asked:
                coming += holding.resources["CPU"]
            else:
                ready.append((worker, holding))
        for hunger in starved:
            if hunger.want is not None and hunger.want.stuck:
                continue
            need = hunger.need.get("CPU", 0)
            others = {name: amount for name, amount in hunger.need.items() if name != "CPU"}
            if not need or not fits(others, self._ledger.free):
                continue
            while coming < need and ready:
                worker, holding = ready.pop(0)
                holding.asked = True
                coming += holding.resources["CPU"]
                out.append(Send(worker, m.Lend(self._me)))
            coming -= need
            if not ready and coming <= 0:
                break  # nobody is left to ask
        return out

    def check(self) -> None:
        """Raise if somebody lends who is not known to, for tests and simulations."""
        for worker, holding in {**self._blocked, **self._waiting}.items():
            assert self._holding(worker) is holding, "what has ended is said to lend"
        for holding in self._blocked.values():
            assert not holding.lent
