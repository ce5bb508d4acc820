"""What follows when a client or a node is dead, seen from one node.

Owns the memory of who is dead, and the order of the consequences: everybody is
told, and what the dead one wanted, ran, fetched and owned here comes to an
end. Does not own noticing a death (the shell and the head do). Rule: whoever
registers later hears of the deaths too, because a reference may reach it yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from nbray.ids import HEAD, node_client, node_of
from nbray.runtime.core.effects import Forget, NodeEffect, Send
from nbray.runtime.core.node.scheduling.leases import Leases
from nbray.runtime.core.node.scheduling.peers import Peers
from nbray.runtime.core.node.scheduling.scheduler import Scheduler
from nbray.runtime.core.node.scheduling.workers import WorkerPool
from nbray.runtime.core.node.store.storage import Storage
from nbray.runtime.core.node.store.transfers import Transfers
from nbray.wire import messages as m

DEATHS_KEPT = 1000
"""Deaths of clients of which a new client is told."""


class Deaths:
    """Deaths at one node; *clients* are the live ones of this machine."""

    def __init__(
        self, me: int, clients: Collection[int], pool: WorkerPool, leases: Leases,
        scheduler: Scheduler, peers: Peers, storage: Storage, transfers: Transfers,
    ) -> None:  # fmt: skip
        self._me = me
        self._clients = clients
        self._pool = pool
        self._leases = leases
        self._scheduler = scheduler
        self._peers = peers
        self._storage = storage
        self._transfers = transfers
        self._deaths: dict[int, m.Death] = {}

    def news(self, client: int) -> list[NodeEffect]:
        """Tell a client that has just registered who is dead."""
        deaths = list(self._deaths.values())
        return [Send(client, m.Died(self._me, deaths))] if deaths else []

    def over(self, client: int) -> bool:
        """Whether a client is known to be dead, by itself or with its node."""
        return client in self._deaths or self._peers.gone(node_of(client))

    def here(self, death: m.Death, now: float) -> list[NodeEffect]:
        """A client of this machine is dead (and not among the clients any more)."""
        client = death.client
        out: list[NodeEffect] = [Forget(client)]
        self._remember([death])
        told = m.Died(self._me, [death])
        out.extend(Send(other, told) for other in self._clients)
        out.append(Send(HEAD, told))
        out.extend(self._storage.client_died(client))
        self._transfers.client_died(client)
        return [*out, *self._owner_gone(client, now)]

    def elsewhere(self, deaths: list[m.Death], now: float) -> list[NodeEffect]:
        """Clients of other machines are dead."""
        self._remember(deaths)
        told = m.Died(self._me, deaths)
        out: list[NodeEffect] = [Send(client, told) for client in self._clients]
        for death in deaths:
            out.extend(self._owner_gone(death.client, now))
        return out

    def node(self, member: m.NodeInfo, why: str, now: float) -> list[NodeEffect]:
        """A whole node is dead."""
        number = member.number
        self._peers.members[number] = msgspec.structs.replace(member, alive=False)
        self._peers.lost(number, now)
        told = m.NodeLost(self._me, number, why)
        out: list[NodeEffect] = [Send(client, told) for client in self._clients]
        gone = {lease.key[0] for lease in self._leases}
        gone.update(key[0] for key in self._leases.wants)
        gone.update(self._storage.books.owned())
        gone.update(self._transfers.owners())
        for client in sorted(client for client in gone if node_of(client) == number):
            out.extend(self._owner_gone(client, now))
        out.extend(self._transfers.node_lost(number))
        return [*out, Forget(node_client(number))]

    def _remember(self, deaths: Iterable[m.Death]) -> None:
        for death in deaths:
            self._deaths[death.client] = death
        while len(self._deaths) > DEATHS_KEPT:
            del self._deaths[next(iter(self._deaths))]

    def _owner_gone(self, client: int, now: float) -> list[NodeEffect]:
        out: list[NodeEffect] = []
        out.extend(self._transfers.owner_died(client))
        for want in self._leases.wants_of(client):
            want.count = 0
            out.extend(self._peers.forward(want))
        for lease in self._leases.of_client(client):
            # Its tasks run on for nobody, and cannot be told from what comes next.
            worker = self._pool.get(lease.worker)
            if worker is not None:
                out.extend(self._pool.end(worker, "its task's owner is dead", now))
        for want in self._leases.wants_of(client):
            self._leases.sweep(want)
        self._scheduler.forget(client)
        return [*out, *self._storage.owner_died(client, list(self._clients))]
