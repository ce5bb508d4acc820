"""The actors' directory: names, places, restarts, and who is told of them.

Owns every actor of the cluster from `CreateActor` to its end. Does not own
processes (nodes) or calls (clients and workers). Rules: a life is the table
below; a name belongs to one live actor of its namespace; whoever watches an
actor hears every change of state in order.

::

    PENDING --up--> ALIVE --down--> RESTARTING --up--> ALIVE
    any --end--> DEAD, which is final
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from nbray.details import ActorRecord
from nbray.ids import HEAD, OWN_CELL, node_client, node_of
from nbray.runtime.core.effects import HeadEffect, Send
from nbray.runtime.core.head.actor_choice import Choice
from nbray.runtime.core.head.lingering import Lingering
from nbray.runtime.core.placement import units
from nbray.wire import messages as m

Key = tuple[int, int]
"""(owner, actor)."""
_TABLE = {
    (m.PENDING, m.ALIVE), (m.PENDING, m.RESTARTING), (m.PENDING, m.DEAD),
    (m.ALIVE, m.RESTARTING), (m.ALIVE, m.DEAD),
    (m.RESTARTING, m.RESTARTING), (m.RESTARTING, m.ALIVE), (m.RESTARTING, m.DEAD),
}  # fmt: skip
DEAD_KEPT = 1000
"""Dead actors that are remembered in full, so that a late watcher hears why."""
DEAD_SHOWN = 200
"""Of those, the ones that screens list."""
ERRORS_KEPT = 20
"""Of dead actors, the latest whose large errors are remembered."""
LARGE_ERROR = 64 * 1024
"""Bytes of an error that is remembered with any of them."""
GONE_KEPT = 100_000
"""Older ones, and dead clients, of which only the fact is remembered."""


class _Actor:
    __slots__ = (
        "cause", "error", "incarnation", "kind", "node", "placed", "restarts", "spec", "state",
        "waits", "watchers", "worker",
    )  # fmt: skip

    def __init__(self, spec: m.ActorSpec) -> None:
        self.spec = spec
        self.state = m.PENDING
        self.incarnation = 0
        self.restarts = 0
        self.node = 0
        """Where it was placed (0: nowhere yet)."""
        self.placed = False
        self.worker = 0
        self.cause = ""
        self.kind = m.Why.OTHER
        """What kind of cause it is."""
        self.error = b""
        self.waits = ""
        """Why it has no place yet, as its owner was told."""
        self.watchers: list[int] = []

    @property
    def key(self) -> Key:
        return (self.spec.owner, self.spec.actor)


class Directory:
    """All actors. *nodes* gives the cluster's members as they are now."""

    def __init__(self, nodes: Callable[[], list[m.NodeInfo]]) -> None:
        self._nodes = nodes
        self._actors: dict[Key, _Actor] = {}
        self._names: dict[tuple[str, str], Key] = {}
        self._blobs: dict[bytes, tuple[bytes, int]] = {}
        """Pickled classes by hash, and how many living actors have them."""
        self._dead: list[Key] = []
        self._gone: dict[Key, tuple[str, m.Why]] = {}
        """Why an actor that is not among `_actors` never will be (again)."""
        self._early: dict[Key, list[int]] = {}
        """Who watches actors whose `CreateActor` has not come.

        A handle can travel before its actor's constructor has its arguments."""
        self._dead_clients: dict[int, None] = {}
        self._dead_nodes: set[int] = set()
        self.lingering = Lingering(self.has_ended)
        self._choice = Choice(nodes, self.held_on, self._placed_on)
        self._ended_now: list[Key] = []
        """Those that have ended since somebody last asked."""

    def with_groups(
        self, promised: Callable[[int], m.Shape], removed: Callable[[str], bool],
        waits: Callable[[str], str], never: Callable[[str], bool],
    ) -> None:  # fmt: skip
        """What of a node placement groups have, which are over, why one waits, and for nodes."""
        choice = self._choice
        choice.promised, choice.removed = promised, removed
        choice.waits, choice.never = waits, never

    @property
    def living(self) -> int:
        """How many actors of users are not dead."""
        return sum(
            one.state != m.DEAD and one.spec.cell != OWN_CELL for one in self._actors.values()
        )

    def records(self) -> list[ActorRecord]:
        """All actors for screens, the youngest first; of the dead ones the latest."""
        dead = set(self._dead[:-DEAD_SHOWN])
        return [
            ActorRecord(
                owner=owner, actor=number, class_name=one.spec.class_name, name=one.spec.name,
                namespace=one.spec.namespace, state=one.state, node=one.node, worker=one.worker,
                restarts=one.restarts, max_restarts=one.spec.max_restarts,
                detached=one.spec.detached, cell=one.spec.cell, job=one.spec.job,
                resources=units(one.spec.resources), cause=_shown(one),
                environment=one.spec.env.text if one.spec.env is not None else "",
            )
            for (owner, number), one in reversed(self._actors.items())
            if (owner, number) not in dead
        ]  # fmt: skip

    # -- creating and looking up ------------------------------------------------------

    def create(self, message: m.CreateActor) -> list[HeadEffect]:
        """Register an actor and place it."""
        spec = message.spec
        creator = message.sender
        key = (spec.owner, spec.actor)
        if key in self._gone or self.has_ended(spec.owner):
            if self.has_ended(creator):
                return []
            told = m.ActorCreated(HEAD, spec.actor)
            return [Send(creator, told), self._no_actor(creator, key)]
        if spec.name:
            holder = self._names.get((spec.namespace, spec.name))
            if holder is not None and holder != key:
                actor = self._actors[holder]
                if spec.get_if_exists:
                    answer = m.ActorCreated(HEAD, spec.actor, existing=_light(actor.spec))
                else:
                    where = f" in namespace {spec.namespace!r}" if spec.namespace else ""
                    why = (
                        f"an actor named {spec.name!r} exists{where}, so the name is already "
                        "taken: use get_actor, get_if_exists=True, or another name"
                    )
                    answer = m.ActorCreated(HEAD, spec.actor, why=why)
                return [Send(creator, answer)]
        if key in self._actors:
            return []
        actor = self._actors[key] = _Actor(self._shared(spec))
        if spec.name:
            self._names[spec.namespace, spec.name] = key
        actor.watchers.append(creator)
        actor.watchers += (w for w in self._early.pop(key, ()) if w != creator)
        return [Send(creator, m.ActorCreated(HEAD, spec.actor)), *self._place(actor)]

    def _shared(self, spec: m.ActorSpec) -> m.ActorSpec:
        """*spec* with the bytes of its class that other actors have already."""
        blob, count = self._blobs.get(spec.function, (spec.blob, 0))
        if blob != spec.blob:
            return spec
        self._blobs[spec.function] = (blob, count + 1)
        return msgspec.structs.replace(spec, blob=blob)

    def _unshare(self, spec: m.ActorSpec) -> None:
        blob, count = self._blobs.get(spec.function, (b"", 0))
        if blob is not spec.blob:
            return
        if count > 1:
            self._blobs[spec.function] = (blob, count - 1)
        else:
            del self._blobs[spec.function]

    def find(self, message: m.FindActor) -> list[HeadEffect]:
        """Look a name up."""
        key = self._names.get((message.namespace, message.name))
        if key is None:
            return [Send(message.sender, m.ActorFound(HEAD, message.token))]
        spec = self._actors[key].spec
        answer = m.ActorFound(HEAD, message.token, spec.owner, spec.actor, spec.info)
        return [Send(message.sender, answer)]

    def names(self, message: m.ListActors) -> list[HeadEffect]:
        """All names of a namespace, or of all."""
        space = message.namespace
        found = [name for name in sorted(self._names) if message.everywhere or name[0] == space]
        return [Send(message.sender, m.ActorList(HEAD, message.token, found))]

    def watch(self, message: m.WatchActor) -> list[HeadEffect]:
        """Tell the sender this actor's state now and whenever it changes."""
        key = (message.owner, message.actor)
        actor = self._actors.get(key)
        if actor is None:
            if key in self._gone or self.has_ended(message.owner):
                return [self._no_actor(message.sender, key)]
            waiting = self._early.setdefault(key, [])
            if message.sender not in waiting:
                waiting.append(message.sender)
            return []
        if message.sender not in actor.watchers and actor.state != m.DEAD:
            actor.watchers.append(message.sender)
        return [Send(message.sender, self._state(actor))]

    # -- life -------------------------------------------------------------------------

    def up(self, message: m.ActorUp) -> list[HeadEffect]:
        """`__init__` returned, or raised."""
        actor = self._current(message.owner, message.actor, message.incarnation)
        if actor is None or actor.state == m.ALIVE:
            return []
        actor.worker = message.worker
        if message.error:
            actor.error = message.error
            return self._end(actor, message.why or "its __init__ raised")
        return self._move(actor, m.ALIVE)

    def down(self, message: m.ActorDown) -> list[HeadEffect]:
        """An incarnation's process ended, or could not be started."""
        actor = self._current(message.owner, message.actor, message.incarnation)
        if actor is None:  # it was told to
            return self.lingering.down((message.owner, message.actor, message.incarnation))
        actor.placed = False
        return self._restart(actor, message.cause, message.restartable)

    def end(self, message: m.EndActor) -> list[HeadEffect]:
        """Kill an actor, or end it because its last handle went."""
        key = (message.owner, message.actor)
        actor = self._actors.get(key)
        if actor is None:
            return self._end_early(key, message.why) if message.no_restart else []
        if actor.state == m.DEAD:
            return []
        if message.no_restart:
            return self._end(actor, message.why, gently=message.gently)
        stop = self._stop(actor, message.why)
        return [*stop, *self._restart(actor, message.why, True, lingers=bool(stop))]

    def clients_died(self, clients: Iterable[int]) -> list[HeadEffect]:
        """Owners are dead: their actors end, unless detached. Watchers are dropped."""
        gone = set(clients)
        self._dead_clients.update(dict.fromkeys(gone))
        _shorten(self._dead_clients)
        out: list[HeadEffect] = []
        for key, waiting in list(self._early.items()):
            waiting[:] = [watcher for watcher in waiting if watcher not in gone]
            if key[0] in gone:
                out.extend(self._end_early(key, "its owner has died"))
        for actor in list(self._actors.values()):
            if any(watcher in gone for watcher in actor.watchers):
                actor.watchers = [w for w in actor.watchers if w not in gone]
            if actor.spec.owner in gone and not actor.spec.detached and actor.state != m.DEAD:
                out.extend(self._end(actor, "its owner has died"))
        return out

    def node_lost(self, node: int, why: str, gently: bool = False) -> list[HeadEffect]:
        """A node is gone: what lived there restarts elsewhere, what was owned there ends.

        If it left *gently* no restart is charged, as in Ray.
        """
        self._dead_nodes.add(node)
        owners = {a.spec.owner for a in self._actors.values() if node_of(a.spec.owner) == node}
        watchers = {w for a in self._actors.values() for w in a.watchers if node_of(w) == node}
        early = {client for key, waiting in self._early.items() for client in (key[0], *waiting)}
        out = self.clients_died(
            owners | watchers | {client for client in early if node_of(client) == node}
        )
        out.extend(self.lingering.node_lost(node))
        for actor in list(self._actors.values()):
            if actor.placed and actor.node == node and actor.state != m.DEAD:
                actor.placed = False
                out.extend(self._restart(actor, why, True, free=gently))
        return out

    def retry(self) -> list[HeadEffect]:
        """Place what is waiting for room; to be called when something became free."""
        out: list[HeadEffect] = []
        for actor in list(self._actors.values()):
            if not actor.placed and actor.state in (m.PENDING, m.RESTARTING):
                out.extend(self._place(actor))
        return out

    def group_removed(self, group: str) -> list[HeadEffect]:
        """A placement group is over: who has not begun in it never does."""
        return [
            effect
            for actor in list(self._actors.values())
            if actor.state in (m.PENDING, m.RESTARTING)
            and actor.spec.where is not None and actor.spec.where.group == group
            for effect in self._place(actor)
        ]  # fmt: skip

    def take_ended(self) -> list[Key]:
        """Who has ended since this was last asked."""
        ended, self._ended_now = self._ended_now, []
        return ended

    # -- within -----------------------------------------------------------------------

    def has_ended(self, client: int) -> bool:
        """Whether a client is known to be dead, by itself or with its node."""
        return client in self._dead_clients or node_of(client) in self._dead_nodes

    def _no_actor(self, watcher: int, key: Key) -> HeadEffect:
        cause, kind = self._gone.get(key, ("its owner has died", m.Why.OTHER))
        return Send(watcher, m.ActorState(HEAD, *key, m.DEAD, 0, cause=cause, kind=kind))

    def _end_early(self, key: Key, why: str) -> list[HeadEffect]:
        """An actor ends before it was registered."""
        self._gone.setdefault(key, (why, m.Why.OTHER))
        _shorten(self._gone)
        return [self._no_actor(watcher, key) for watcher in self._early.pop(key, ())]

    def _current(self, owner: int, number: int, incarnation: int) -> _Actor | None:
        actor = self._actors.get((owner, number))
        if actor is None or actor.incarnation != incarnation or actor.state == m.DEAD:
            return None
        return actor

    def _place(self, actor: _Actor) -> list[HeadEffect]:
        spec = actor.spec
        if all(node.number != node_of(spec.owner) for node in self._nodes()):
            return []  # its owner's node has not introduced itself yet: `retry` follows
        node, why, never = self._choice.of(spec)
        if never:
            return self._end(actor, why, m.Why.UNSCHEDULABLE)
        out: list[HeadEffect] = []
        if why != actor.waits:
            actor.waits = why
            group = spec.where is not None and bool(spec.where.group)
            out.append(Send(spec.owner, m.ActorWaits(HEAD, *actor.key, why, group)))
        if node is None:
            return out
        actor.placed = True
        actor.node = node.number
        out.append(Send(node_client(node.number), m.StartActor(HEAD, spec, actor.incarnation)))
        return out

    def held_on(self, node: int) -> list[m.Shape]:
        """What actors that are placed on a node hold for life."""
        return [
            actor.spec.resources
            for actor in self._actors.values()
            if actor.placed and actor.node == node
        ]

    def _placed_on(self, node: int) -> int:
        return sum(1 for actor in self._actors.values() if actor.placed and actor.node == node)

    def _restart(
        self, actor: _Actor, cause: str, restartable: bool, free: bool = False,
        lingers: bool = False,
    ) -> list[HeadEffect]:  # fmt: skip
        most = actor.spec.max_restarts
        free = free and most != 0
        if not restartable or not (free or most < 0 or actor.restarts < most):
            return self._end(actor, cause, lingers=lingers)
        actor.restarts += not free
        actor.incarnation += 1
        actor.worker = 0
        actor.cause = cause
        return [*self._move(actor, m.RESTARTING, lingers), *self._place(actor)]

    def _stop(self, actor: _Actor, why: str, gently: bool = False) -> list[HeadEffect]:
        if not actor.placed:
            return []
        actor.placed = False
        owner, number = actor.key
        self.lingering.begin((owner, number, actor.incarnation), actor.node, actor.watchers)
        gently = gently and actor.state == m.ALIVE  # one that is being made has nothing to end
        message = m.StopActor(HEAD, owner, number, actor.incarnation, why, gently)
        return [Send(node_client(actor.node), message)]

    def _end(
        self, actor: _Actor, cause: str, kind: m.Why = m.Why.OTHER, gently: bool = False,
        lingers: bool = False,
    ) -> list[HeadEffect]:  # fmt: skip
        stop = self._stop(actor, cause, gently)
        actor.cause = cause
        actor.kind = kind
        spec = actor.spec
        if spec.name and self._names.get((spec.namespace, spec.name)) == actor.key:
            del self._names[spec.namespace, spec.name]
        out = [*self._move(actor, m.DEAD, lingers or bool(stop)), *stop]
        actor.watchers.clear()
        self._unshare(spec)
        actor.spec = _light(spec)  # nothing is started from it any more
        self._dead.append(actor.key)
        self._ended_now.append(actor.key)
        if len(self._dead) > ERRORS_KEPT:
            older = self._actors[self._dead[-ERRORS_KEPT - 1]]
            if len(older.error) > LARGE_ERROR:
                older.error = b""
        if len(self._dead) > DEAD_KEPT:
            oldest = self._dead.pop(0)
            gone = self._actors.pop(oldest)
            self._gone[oldest] = gone.cause, gone.kind
            _shorten(self._gone)
        return out

    def _move(self, actor: _Actor, state: int, lingers: bool = False) -> list[HeadEffect]:
        assert (actor.state, state) in _TABLE, f"actor {actor.key}: {actor.state} to {state}"
        actor.state = state
        told = self._state(actor, lingers)
        return [Send(watcher, told) for watcher in actor.watchers]

    @staticmethod
    def _state(actor: _Actor, lingers: bool = False) -> m.ActorState:
        owner, number = actor.key
        worker = actor.worker if actor.state == m.ALIVE else 0
        return m.ActorState(
            HEAD, owner, number, actor.state, actor.incarnation, worker, actor.cause, actor.error,
            kind=actor.kind, lingers=lingers,
        )  # fmt: skip

    def check(self) -> None:
        """Raise if an invariant is broken; for tests and simulations."""
        for name, key in self._names.items():
            actor = self._actors[key]
            assert actor.state != m.DEAD, f"dead actor holds the name {name}"
        for actor in self._actors.values():
            assert actor.state != m.DEAD or not actor.placed
            assert actor.state != m.ALIVE or actor.placed


def _shown(actor: _Actor) -> str:
    """The cause of its state, as screens have it."""
    return f"unschedulable: {actor.cause}" if actor.kind == m.Why.UNSCHEDULABLE else actor.cause


def _light(spec: m.ActorSpec) -> m.ActorSpec:
    """*spec* without what it takes to start the actor."""
    return msgspec.structs.replace(spec, blob=b"", args=m.Value(), deps=[])


def _shorten(memory: dict[Any, Any]) -> None:
    """Forget the oldest."""
    while len(memory) > GONE_KEPT:
        del memory[next(iter(memory))]
