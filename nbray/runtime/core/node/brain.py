"""The node's brain: one machine's resources, processes and store.

Composes the parts and owns what runs through them all: who the clients are,
what follows from a death, and the order of scheduling after every step. Does
not own sockets, processes or memory (the shell), nor names and membership
(the head). Rule: every step that may free or need something ends in
`_settle`, which serves, forwards and asks back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec

from nbray import config
from nbray.details import ProcessRecord
from nbray.events import Figures
from nbray.ids import FIRST_WORKER_LOCAL, HEAD, client_id, node_client, node_of
from nbray.runtime.core.effects import Forget, Listen, Log, NodeEffect, Send, Stop, WatchPid
from nbray.runtime.core.node.deaths import Deaths
from nbray.runtime.core.node.descriptors import DRIVER, WORKER, Plenty, Room
from nbray.runtime.core.node.drain import Drain
from nbray.runtime.core.node.history import History
from nbray.runtime.core.node.memory_guard import MemoryGuard
from nbray.runtime.core.node.outliving import Outliving
from nbray.runtime.core.node.reports import Reports
from nbray.runtime.core.node.scheduling import leases as books
from nbray.runtime.core.node.scheduling.bundles import Bundles
from nbray.runtime.core.node.scheduling.demands import Demands
from nbray.runtime.core.node.scheduling.leases import Leases, Ledger
from nbray.runtime.core.node.scheduling.lending import Lending
from nbray.runtime.core.node.scheduling.peers import Peers
from nbray.runtime.core.node.scheduling.process_limit import ProcessLimit
from nbray.runtime.core.node.scheduling.resident_actors import Residents
from nbray.runtime.core.node.scheduling.scheduler import REST, REST_REMOTE, Scheduler
from nbray.runtime.core.node.scheduling.workers import State, WorkerPool
from nbray.runtime.core.node.settings import NodeConfig
from nbray.runtime.core.node.store.slots import Full, StoreBooks
from nbray.runtime.core.node.store.storage import Storage
from nbray.runtime.core.node.store.transfers import DEAD_OWNER, Transfers
from nbray.runtime.core.node.troubles import Troubles
from nbray.runtime.core.versions import differences
from nbray.wire import messages as m


class NodeBrain:
    """Brain of one node; see `handle`, `tick`, `next_deadline` and the events below."""

    def __init__(self, settings: NodeConfig, store: StoreBooks, room: Room | None = None) -> None:
        number = settings.number
        self.number = number
        self.me = me = node_client(number)
        self.settings = settings
        self.ledger = Ledger(settings.info.total)
        self.room: Room = room or Plenty()
        self.pool = WorkerPool(
            settings.prepared, settings.most, config.IDLE_WORKER_SECONDS, self.room,
            settings.bound,
        )  # fmt: skip
        self.leases = Leases(number)
        self.scheduler = Scheduler(me, number, self.ledger, self.pool, self.leases)
        self.scheduler.numbers_from(client_id(number, FIRST_WORKER_LOCAL))
        self.peers = Peers(me, number, self.ledger, self.leases)
        self.peers.members[number] = settings.info
        self.residents = Residents(me, self.ledger, self.pool, self.scheduler)
        parts = (self.ledger, self.pool, self.leases, self.scheduler, self.residents)
        self.bundles = Bundles(me, *parts)
        self.lending = Lending(me, self.ledger, self.leases, self.residents, self.bundles)
        self.clients: dict[int, ProcessRecord] = {}
        self.storage = Storage(me, store, self.clients)
        self.transfers = Transfers(me, number, self.storage, self.peers.gone)
        self.deaths = Deaths(
            me, self.clients, self.pool, self.leases, self.scheduler, self.peers, self.storage,
            self.transfers,
        )  # fmt: skip
        self.process_limit = ProcessLimit(
            me, settings.info.pid, f"node {settings.info.name}", self.pool, self._drivers
        )
        self.guard = MemoryGuard(
            settings.guard, settings.info.name, self.pool, self.leases, self.residents,
            self.scheduler,
        )  # fmt: skip
        self.history = History(me)
        self.outliving = Outliving(settings.owner)
        self.drain = Drain(me, self.leases, self.scheduler, self.pool, self.storage, self.peers)
        self.troubles = Troubles(me, settings.info.pid, f"node {settings.info.name}")
        self.ending = False
        self.reports = Reports(
            me, self.ledger, self.pool, self.leases, self.storage, self.transfers, self.bundles
        )
        self.demands = Demands(me, self.ledger, self.leases, self.peers)

    # -- events -------------------------------------------------------------------

    def start(self, now: float) -> list[NodeEffect]:
        """The first step: workers are forked, and on the head's machine the head hears of us."""
        out: list[NodeEffect] = []
        if self.number == node_of(HEAD):
            out.append(Send(HEAD, m.Join(self.me, 0, self.settings.info, self.settings.versions)))
        return [*out, *self._settle(now)]

    def handle(self, message: m.ToNode, now: float) -> list[NodeEffect]:
        """Take one message."""
        if self.ending:
            return []
        out = self._dispatch(message, now)
        # Of those there are hundreds for each GB, and nothing for others comes of one.
        return out if isinstance(message, m.Pull | m.Chunk) else [*out, *self._settle(now)]

    def tick(self, now: float) -> list[NodeEffect]:
        """Let time pass."""
        if self.ending:
            return []
        pool = self.pool
        out = [*self.transfers.tick(now), *pool.late(now)]
        out.extend(pool.ask(worker, "idle", now) for worker in pool.overdue(now))
        return [*out, *self._settle(now)]

    def next_deadline(self, now: float) -> float | None:
        """When `tick` has something to do; None if nothing is planned."""
        due = [
            self.scheduler.recheck, self.transfers.next_deadline(), self.peers.next_deadline(),
            self.pool.next_deadline(now), self.storage.next_deadline(now), self.reports.due,
            self.process_limit.due, self.drain.next_deadline(now),
        ]  # fmt: skip
        return min((one for one in due if one is not None), default=None)

    def worker_gone(
        self, client: int, cause: str, now: float, oom: bool = False, peak: int = 0
    ) -> list[NodeEffect]:
        """Root reports that a worker's process ended, which had up to *peak* bytes."""
        worker = self.pool.died(client, now)
        if worker is None or self.ending:
            return []
        self.reports.gone(worker)
        if worker.leaving:
            worker.why = worker.why or "it was idle"
        intended = bool(worker.why)
        cause, ended, again = self.guard.gone(worker, cause, oom, peak, now)
        out: list[NodeEffect] = []
        if not intended and worker.state is State.FORKING:
            out.append(Log(f"a worker ended before it was ready: {cause}"))
        self.lending.gone(client)
        self.history.gone(ProcessRecord(client, worker.pid, False, cause, intended, now))
        lease = self.leases.by_worker.get(client)
        if lease is not None:
            out.extend(self.demands.end(lease, now))
            # A task whose CPU is its own child's goes on with that (see `WorkerBrain.unblock`).
            out.extend(self.lending.settle(lease.key[0], lease.resources.get("CPU", 0)))
        out.extend(self.residents.died(client, cause))
        death = m.Death(client, cause, intended, oom or ended, again)
        self.clients.pop(client, None)
        return [*out, *self.deaths.here(death, now), *self._settle(now)]

    def client_gone(self, client: int, cause: str, now: float) -> list[NodeEffect]:
        """A driver's process ended."""
        if client not in self.clients or self.ending:
            return []
        left = self.clients.pop(client)
        self.history.left(left, cause or "left", now)
        self.troubles.went(client)
        return [*self.deaths.here(m.Death(client, cause), now), *self._settle(now)]

    def listening(self, token: int, client: int, address: str, why: str) -> list[NodeEffect]:
        """`Listen` was carried out, or not."""
        return [Send(client, m.PortOpen(self.me, token, address, why))]

    def moved(self, ip: str, address: str) -> list[NodeEffect]:
        """The head's node can be reached from other machines now, at *address*."""
        info = msgspec.structs.replace(
            self.settings.info, ip=ip, available=dict(self.ledger.free)
        )
        self.settings = msgspec.structs.replace(self.settings, info=info, address=address)
        return [Send(HEAD, m.Join(self.me, 0, info, self.settings.versions))]

    def figures(self, figures: Figures, now: float) -> list[NodeEffect]:
        """Fresh figures of the machine; the brain adds what it knows and tells the head."""
        figures = self.guard.noted(figures, now)
        figures = self.reports.noted(figures)
        if self.ending:
            return []
        free = figures.memory_total - figures.memory_used
        scarce = free < config.SCARCE_SHARE * figures.memory_total
        told = self.troubles.noted(figures.trouble, self._drivers())
        told.extend(self.troubles.once(self.storage.spilling.news(), self._drivers()))
        load = self.reports.load(now, self.drain.on)
        return [load, *told, *(self.storage.relieve() if scarce else ())]

    def _drivers(self) -> list[int]:
        return [client for client, one in self.clients.items() if one.driver]

    def stop(self, why: str, asked: bool = False, again: bool = False) -> list[NodeEffect]:
        """End everything on this machine in order; *asked*: somebody wants it to.

        *again*: and join the cluster anew.
        """
        if self.ending:
            return []
        self.ending = True
        out: list[NodeEffect] = [Send(client, m.Exit(self.me, why)) for client in self.clients]
        if self.number == node_of(HEAD):
            out.extend(
                Send(node_client(node.number), m.Exit(self.me, why))
                for node in self.peers.others()
            )
        else:
            out.append(Send(HEAD, m.Leave(self.me, why, asked, self.drain.done)))
        return [*out, Stop(why, again)]

    # -- messages -------------------------------------------------------------------

    def _dispatch(self, message: m.ToNode, now: float) -> list[NodeEffect]:
        match message:
            case m.Register():
                return self._register(message, now)
            case m.Demand():
                return self._demand(message, now)
            case m.Holding():
                self.demands.holding(message, now)
            case m.Returned():
                return self._returned(message, now)
            case m.Blocked():
                self.lending.blocked(message.sender)
            case m.Remember(ended=ended):
                self.history.told(message.sender, ended)
            case m.Lent():
                return self.lending.lent(message.sender)
            case m.Unblocked(waits=waits):
                return self.lending.unblocked(message.sender, waits)
            case m.KillWorker():
                return self._kill(message, now)
            case m.Goodbye():
                return self._goodbye(message, now)
            case m.Worked():
                worker = self.pool.get(message.sender)
                if worker is not None:
                    worker.worked, worker.worked_at = message, now
            case m.Stays():
                worker = self.pool.get(message.sender)
                if worker is not None:
                    worker.leaving = False
            case m.OpenPort(token=token, sender=sender, ip=ip):
                return [Listen(token, sender, ip)]
            case m.Outlive(token=token, sender=sender, on=on):
                handed = self.outliving.keep(sender, on and sender in self.clients)
                effects = self._stay()  # before the answer: who is answered may rely on it
                return [*effects, Send(sender, m.Outlives(self.me, token, handed))]
            case m.Allocate():
                return self._allocate(message)
            case m.Free(slots=slots):
                self.transfers.freed(slots)
                self.storage.free(slots)
            case m.Fetch():
                if self.deaths.over(message.owner):
                    told = m.Fetched(
                        self.me, message.token, None, DEAD_OWNER, m.Why.OWNER_DIED
                    )
                    return [Send(message.sender, told)]
                return self.transfers.fetch(message, now)
            case m.UsesPins(sender=sender, why=why):
                return self.storage.uses_pins(sender, why)
            case m.Where():
                return self.storage.spilling.where(message)
            case m.Held():
                self.storage.held(message.sender, message.owner, message.slots)
            case m.Saved():
                self.drain.saved(message)
            case m.Pull() | m.Chunk():
                return self.transfers.handle(message, now)
            case m.Welcome(nodes=nodes):
                return self._members(nodes, now)
            case m.Members(nodes=nodes):
                return self._members(nodes, now)
            case m.Refused(why=why):
                return self.stop(why)
            case m.StartActor():
                return self.residents.start(message)
            case m.ActorUp():
                return self.residents.up(message)
            case m.StopActor():
                return self.residents.stop(message, now)
            case m.ReserveBundles() | m.CommitBundles() | m.ReturnBundles():
                return self.bundles.handle(message, now)
            case m.Died(deaths=deaths):
                return self.deaths.elsewhere(deaths, now)
            case m.NodeLost():
                return self.node_lost(message.node, message.why, now)
            case m.Exit(why=why):
                return self.stop(why, asked=True)
            case m.Drain():
                if self.number != node_of(HEAD):  # without it there is no cluster
                    self.drain.begin()
                    self.ledger.changed = True  # so that the head hears of it
            case m.Describe():
                on_disk = self.storage.books.on_disk
                return self.history.describe(message, list(self.clients.values()), now, on_disk)
            case m.Granted() | m.Infeasible():
                pass  # other nodes speak to the client itself
            case _:
                assert_never(message)
        return []

    # -- clients --------------------------------------------------------------------

    def _register(self, message: m.Register, now: float) -> list[NodeEffect]:
        client = message.sender
        why = differences(self.settings.versions, message.versions)
        if why:
            out: list[NodeEffect] = [Send(client, m.Refused(self.me, 0, why))]
            if not message.driver:
                out.append(Send(client, m.Exit(self.me, why)))
            return out
        if client in self.clients:
            return [self._registered(client)]
        if message.driver:
            if self.room.left() < DRIVER + WORKER or not self.room.take(DRIVER):
                why = f"node {self.settings.info.name} takes no further program: {self.room.told()}"
                return [Send(client, m.Refused(self.me, 0, why, full=True)), Forget(client)]
            self.clients[client] = ProcessRecord(
                client, message.pid, True, program=message.program
            )
            news = [*self.deaths.news(client), *self.troubles.came(client)]
            return [self._registered(client), *news, WatchPid(client, message.pid)]
        worker = self.pool.registered(client, message.pid, now)
        if worker is None:
            return [Send(client, m.Exit(self.me, "the node does not know this worker"))]
        self.clients[client] = ProcessRecord(client, message.pid, False)
        out = [self._registered(client), *self.deaths.news(client)]
        if worker.state is State.IDLE and worker.booked:
            lease = self.leases.by_worker.get(client)
            if lease is not None:
                out.extend(self.scheduler.tell(lease, worker, now))
            else:
                resident = self.residents.by_worker[client]
                out.extend(self.residents.tell(resident, worker, now))
        return out

    def _registered(self, client: int) -> NodeEffect:
        settings = self.settings
        message = m.Registered(
            self.me, settings.cluster, settings.info.ip, settings.info.pid, settings.address,
            list(self.peers.members.values()), self.storage.spilling.pins,
        )  # fmt: skip
        return Send(client, message)

    def _goodbye(self, message: m.Goodbye, now: float) -> list[NodeEffect]:
        client = message.sender
        if client not in self.clients:
            return []
        worker = self.pool.get(client)
        if worker is not None:
            worker.why = worker.why or "it ended in order"
            return []  # its death follows
        self.history.left(self.clients.pop(client), "it ended in order", now)
        self.troubles.went(client)
        return self.deaths.here(m.Death(client, "it ended in order", intended=True), now)

    def node_lost(self, node: int, why: str, now: float) -> list[NodeEffect]:
        """A node is dead, with everything on it."""
        member = self.peers.members.get(node)
        if node == self.number or member is None or not member.alive:
            return []
        if node == node_of(HEAD):
            return self._lost_head(why)
        out = self.deaths.node(member, why, now)
        return [*out, *self.demands.hopeless()]

    def _lost_head(self, why: str) -> list[NodeEffect]:
        """The head counts this node out, or has been silent for longer than anybody sleeps."""
        why = f"this machine has lost the cluster: {why}"
        if self.settings.rejoins:
            why += "; it joins it again as another node"
        return self.stop(why, again=self.settings.rejoins)

    def _members(self, nodes: Iterable[m.NodeInfo], now: float) -> list[NodeEffect]:
        changed = self.peers.learn(nodes)
        told = m.Members(self.me, list(self.peers.members.values()))
        # Workers need to know who is there, not what is free at each moment.
        out: list[NodeEffect] = [
            Send(client, told) for client, known in self.clients.items() if changed or known.driver
        ]
        return [*out, *self.demands.hopeless()] if changed else out

    # -- work -----------------------------------------------------------------------

    def _demand(self, message: m.Demand, now: float) -> list[NodeEffect]:
        client = message.origin or message.sender
        if self.deaths.over(client) or (not message.origin and client not in self.clients):
            return []  # it died meanwhile
        return self.demands.asked(message, now)

    def _returned(self, message: m.Returned, now: float) -> list[NodeEffect]:
        home = node_of(message.lease)
        if home != self.number:
            return [Send(node_client(home), message)]
        lease = self.leases.leases.get(message.lease)
        if lease is None or lease.key[0] != message.sender:
            return []  # the worker died at the same time
        worker = self.pool.get(lease.worker)
        if worker is not None:
            worker.booked = False
            worker.move("returned", now)
        want = self.leases.wants.get(lease.key)
        if want is not None and not lease.reclaimed:
            want.rests = now + (REST_REMOTE if want.asker else REST)
        out = self.lending.settle(lease.worker)
        self.lending.gone(lease.worker)
        if worker is not None and (lease.gpus or message.spent):
            out.append(self.pool.retire(worker, bool(lease.gpus), now))
        return [*out, *self.demands.end(lease, now)]

    def _kill(self, message: m.KillWorker, now: float) -> list[NodeEffect]:
        if node_of(message.worker) != self.number:
            return [Send(node_client(node_of(message.worker)), message)]
        worker = self.pool.get(message.worker)
        return [] if worker is None else self.pool.end(worker, message.why, now)

    def _allocate(self, message: m.Allocate) -> list[NodeEffect]:
        client, token = message.sender, message.token

        def done(slot: m.Slot | Full) -> list[NodeEffect]:
            if isinstance(slot, Full):
                return [Send(client, m.Allocated(self.me, token, None, slot.reason, slot.kind))]
            if client not in self.clients or self.deaths.over(message.owner):
                self.storage.free([slot])  # one of them died meanwhile
                if client not in self.clients:
                    return []
                told = m.Allocated(self.me, token, None, DEAD_OWNER, m.Why.OWNER_DIED)
                return [Send(client, told)]
            self.storage.made(client, message.owner, slot, token)
            return [Send(client, m.Allocated(self.me, token, slot))]

        return self.storage.allocate(message.owner, message.size, client, done)

    # -- after every step --------------------------------------------------------------

    def _settle(self, now: float) -> list[NodeEffect]:
        """Serve, forward, ask back, explain, keep workers ready, report."""
        if self.ending:
            return []
        out: list[NodeEffect] = []
        before = {want.key: want.held for want in self.leases.wants.values() if want.asker}
        resumed, hungry = self.lending.resume()
        out.extend(resumed)
        if self.bundles.active:
            self.bundles.settle()
            hungry.extend(self.bundles.place(now, out))
        hungry.extend(self.residents.place(now, out, room=not hungry))
        self.peers.look_near(now)
        effects, starved = self.scheduler.grant(hungry, now)
        out.extend(effects)
        out.extend(self.scheduler.reclaim(starved, now))
        out.extend(self.lending.ask(starved))
        out.extend(self.process_limit.look(self.residents.stuck, starved, now))
        for want in list(self.leases.wants.values()):
            if want.asker:
                if want.held != before.get(want.key, 0):
                    out.extend(self.demands.report(want))
            else:
                out.extend(self.peers.forward(want))
                out.extend(self.peers.explain(want, now))
            self.leases.sweep(want)
        if self.drain.on:
            out.extend(self.drain.step(now))
            if self.drain.done:
                return [*out, *self.stop(self.drain.why, True)]
        for _ in range(0 if self.drain.on else self.pool.missing(now)):
            out.extend(self.scheduler.fork(1, now)[1])
        out.extend(self.storage.sweep(now))
        out.extend(self._stay())
        out.extend(self.reports.step(now, self.drain.on))
        return out

    def _stay(self) -> list[NodeEffect]:
        if not self.outliving.handed_over:
            return []
        drivers = (client.pid for client in self.clients.values() if client.driver)
        return self.outliving.settle(self.clients, drivers)

    def check(self) -> None:
        """Raise if an invariant is broken; for tests and simulations."""
        holdings: list[books.Holding] = [*self.leases, *self.residents.holdings()]
        books.check(self.ledger, holdings, self.leases, self.bundles.check())
        self.lending.check()
        self.pool.check([holding.worker for holding in holdings])
        self.storage.books.validate()
