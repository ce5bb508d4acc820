"""The actors of the inline engine and their names, as its users ask for them.

Does not own one actor's life (`actor`).
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from nbray import session
from nbray.details import ActorRecord
from nbray.engine import ActorInfo, Function
from nbray.engines.inline.actor import Actor
from nbray.engines.inline.cluster import InlineCluster
from nbray.engines.inline.context import InlineContext
from nbray.engines.inline.launching import Launcher
from nbray.engines.inline.objects import Objects
from nbray.engines.inline.running import Call, Runner
from nbray.engines.inline.streams import InlineStream
from nbray.exceptions import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorUnschedulableError,
    PendingCallsLimitExceeded,
    reference_ended,
)
from nbray.generators import ObjectRefGenerator
from nbray.ids import FIRST_NODE
from nbray.options import DYNAMIC, STREAMING, UNIT, ActorOptions, MethodOptions, demand
from nbray.refs import ObjectRef
from nbray.wire.failures import one_line
from nbray.wire.pickling import pack

DEAD_SHOWN = 200
"""Dead actors that are remembered."""


class InlineActors:
    """Of one session. See `nbray.engine.Actors` for the methods."""

    def __init__(
        self, owner: int, everyone: dict[int, Actor], objects: Objects, runner: Runner,
        launcher: Launcher, context: InlineContext, cluster: InlineCluster,
    ) -> None:  # fmt: skip
        self._owner = owner
        self.all = everyone
        """By the number of their life."""
        self._objects = objects
        self._runner = runner
        self._launcher = launcher
        self._context = context
        self._cluster = cluster
        self._names: dict[tuple[str, str], int] = {}
        self._dead: deque[ActorRecord] = deque(maxlen=DEAD_SHOWN)
        """Those without a handle."""

    def create(
        self,
        cls: Function,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: ActorOptions,
        info: ActorInfo,
    ) -> tuple[ActorInfo, ObjectRef[Any]]:
        """See the protocol. `__init__` has run when this returns."""
        key = (options.namespace or self._context.namespace, options.name)
        if options.name:
            seq = self._names.get(key)
            if seq is not None and options.get_if_exists:
                return self.all[seq].info, self._objects.ref(self._owner, seq)
            if seq is not None:
                raise ActorAlreadyExistsError(
                    f"the name {options.name!r} is already taken by another actor: use "
                    "get_if_exists=True, or get_actor()"
                )
        loaded = self._launcher.load(cls)
        birth = Call(
            self._objects, info.class_name, args, kwargs, 0, session.cell.get(), "__init__"
        )
        life = self._objects.new()
        self._objects.store(life, pack(None))
        info = msgspec.structs.replace(info, actor=life.seq, owner=self._owner)
        actor = Actor(self._runner, loaded, info, options, birth)
        actor.environment = self._context.environment(options.runtime_env)
        birth.info = self._context.of_actor(actor, f"{info.class_name}.__init__", 0)
        self.all[life.seq] = actor
        if options.name:
            self._names[key] = life.seq
        if options.lifetime == "detached":
            actor.life = self._objects.ref(self._owner, life.seq)
        lacking = self._cluster.lacking(options)
        group = birth.info.group
        if group and self._cluster.groups.state(group) == "REMOVED":
            actor.end(ActorUnschedulableError(
                "Could not create the actor because its associated placement group was removed. "
                f"Required placement group {group} is removed."
            ))  # fmt: skip
        elif lacking:
            actor.end(
                ActorUnschedulableError(f"the actor {info.class_name} can never run: {lacking}")
            )
        else:
            actor.held = {} if group else demand(options)
            self._cluster.hold(actor.held, +1)
            contextvars.copy_context().run(actor.start)
        self._tidy(actor)
        return info, life

    def call(
        self,
        info: ActorInfo,
        life: ObjectRef[Any],
        method: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: MethodOptions,
    ) -> list[ObjectRef[Any]]:
        if life._engine is not self._objects.engine and life._engine.ended:
            what = f"the actor {info.class_name} ({info.hex()})"
            raise reference_ended(what, life._engine.ended)
        name = options.name or f"{info.class_name}.{method}"
        actor = self.all.get(info.actor) if info.owner == self._owner else None
        limit = actor.options.max_pending_calls if actor is not None else -1
        if actor is not None and 0 < limit <= actor.waiting:
            raise PendingCallsLimitExceeded(
                f"{limit} calls wait for the actor {info.class_name} already "
                "(its max_pending_calls)"
            )
        call = self._launcher.call(
            name, args, kwargs, options.num_returns, method, options.counted
        )
        if actor is None:
            gone = f"the actor {info.class_name} has ended with the session it belonged to"
            self._runner.fail(call, ActorDiedError(gone))
            return call.refs
        call.defined = f"{info.class_name}.{method}" if options.name else ""
        retries = options.max_task_retries
        call.retries = info.max_task_retries if retries == -2 else retries
        call.retry_on = options.retry_exceptions
        call.listed = options.listed
        seq = call.refs[0].seq if call.refs else 0
        call.info = self._context.of_actor(actor, name, seq, method)
        call.gathers = options.num_returns == DYNAMIC
        found: Any = call.refs
        if options.num_returns == STREAMING:
            stream = InlineStream(
                self._objects, self._runner, call, options.most_unread,
                exits=lambda error: actor.exits(call, error),
            )  # fmt: skip
            found = [ObjectRefGenerator(stream)]
        actor.add(call, life)
        self._launcher.now_or_later(call, lambda: self._empty(actor))
        return cast("list[ObjectRef[Any]]", found)

    def _empty(self, actor: Actor) -> None:
        contextvars.copy_context().run(actor.empty)
        self._tidy(actor)

    def named(self, name: str, namespace: str) -> tuple[ActorInfo, ObjectRef[Any]]:
        self._launcher.check_open()
        seq = self._names.get((namespace or self._context.namespace, name))
        if seq is None:
            raise ValueError(f"there is no actor named {name!r}")
        return self.all[seq].info, self._objects.ref(self._owner, seq)

    def owns(self, info: ActorInfo) -> bool:
        return info.owner == self._owner

    def ended(self, info: ActorInfo) -> bool:
        actor = self.all.get(info.actor) if info.owner == self._owner else None
        return actor is None or actor.death is not None

    def names(self, all_namespaces: bool) -> list[tuple[str, str]]:
        return [key for key in self._names if all_namespaces or key[0] == self._context.namespace]

    def kill(self, info: ActorInfo, no_restart: bool) -> None:
        actor = self.all.get(info.actor) if info.owner == self._owner else None
        if actor is None or actor.death is not None:
            return
        limit = actor.options.max_restarts
        if not no_restart and (limit == -1 or actor.restarts < limit):
            actor.birth.info = msgspec.structs.replace(actor.birth.info, was_restarted=True)
            actor.restart()
        else:
            actor.end(ActorDiedError(f"the actor {actor.info.class_name} was killed by `ray.kill`"))
        self._tidy(actor)

    def without_group(self, group: str) -> None:
        """A placement group has ended: so do the actors in it."""
        for actor in list(self.all.values()):
            if actor.birth.info.group == group and actor.death is None:
                name = actor.info.class_name
                actor.end(ActorDiedError(f"the actor {name}: its placement group was removed"))
                self._tidy(actor)

    def _tidy(self, actor: Actor) -> None:
        """Give up what a dead actor held: its name and resources.

        The actor itself is kept until its last handle goes, so that calls say why it is dead.
        """
        if actor.death is None:
            return
        seq = actor.info.actor
        for key in [key for key, known in self._names.items() if known == seq]:
            del self._names[key]
        actor.birth.holds, actor.birth.deps = [], []
        held, actor.held = actor.held, {}
        self._cluster.hold(held, -1)

    def freed(self, seq: int) -> None:
        """The last reference to object *seq* has gone: if it was an actor's life, that ends."""
        actor = self.all.get(seq)
        if actor is not None:
            gone = f"the actor {actor.info.class_name} ended with its last handle"
            actor.end(ActorDiedError(gone))
            self._tidy(actor)
            del self.all[seq]
            self._dead.appendleft(self._record(actor))

    def records(self) -> list[ActorRecord]:
        """All, the youngest first; of the dead ones the latest."""
        return [*map(self._record, reversed(list(self.all.values()))), *self._dead]

    def _record(self, actor: Actor) -> ActorRecord:
        info, options = actor.info, actor.options
        return ActorRecord(
            owner=info.owner, actor=info.actor, class_name=info.class_name, name=options.name,
            namespace=options.namespace or self._context.namespace,
            state=1 if actor.death is None else 3, node=FIRST_NODE, worker=self._owner,
            restarts=actor.restarts, max_restarts=options.max_restarts,
            detached=options.lifetime == "detached", cell=actor.birth.cell, job=self._owner,
            resources={name: amount / UNIT for name, amount in demand(options).items()},
            cause="" if actor.death is None else one_line(actor.death),
        )  # fmt: skip

    def of(self, call: Call) -> Actor | None:
        """The actor whose method *call* is."""
        return self.all.get(int(call.info.actor_id[16:] or "0", 16))

    def end(self) -> None:
        """The session is over."""
        for actor in list(self.all.values()):
            actor.end(ActorDiedError(f"the actor {actor.info.class_name} ended with its session"))
        self._names.clear()
