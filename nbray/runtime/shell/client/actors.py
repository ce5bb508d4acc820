"""Actors as a native client's users ask for them: made, called, found by name, ended.

Owns the translation of calls. Does not own an actor's life as its callers see it
(`core.client.actors`), nor the directory of names (`core.head.actor_directory`, at the head).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nbray import session
from nbray.config import MOST_LABEL, MOST_NAME
from nbray.engine import ActorInfo, Function
from nbray.exceptions import (
    ActorAlreadyExistsError,
    PendingCallsLimitExceeded,
    cluster_ended,
    reference_ended,
)
from nbray.ids import HEAD
from nbray.options import ActorOptions, MethodOptions
from nbray.refs import ObjectRef
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.task_records import Task
from nbray.runtime.core.effects import ClientEffect
from nbray.runtime.core.placement import in_group
from nbray.runtime.shell.client.calls import Calls, chosen_group, placement
from nbray.runtime.shell.client.context import NativeContext
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory
from nbray.where import Where
from nbray.wire import messages as m
from nbray.wire.pickling import pack, unpack
from nbray.wire.shorten import label

Launch = Callable[[Task, Any, int, int], list[ObjectRef[Any]]]
"""Submits a task: (task, what is submitted, its first return's number, how many returns)."""


class NativeActors:
    """Of one client. See `nbray.engine.Actors` for the methods."""

    def __init__(
        self, brain: ClientBrain, loop: Loop, memory: Memory, calls: Calls, context: NativeContext,
        launch: Launch, located: Callable[[Where], Where],
    ) -> None:  # fmt: skip
        self._brain = brain
        self._loop = loop
        self._memory = memory
        self._calls = calls
        self._context = context
        self._launch = launch
        self._located = located
        self._submitted = brain.submitted.append

    def create(
        self,
        cls: Function,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: ActorOptions,
        info: ActorInfo,
    ) -> tuple[ActorInfo, ObjectRef[Any]]:
        """Create an actor (see `Actors.create`)."""
        if session.halted:
            session.check_run()
        brain = self._brain
        if brain.ended:
            raise cluster_ended(brain.ended)
        definition, blob = self._calls.definitions.portable(cls)
        class_name = label(cls.name, MOST_LABEL)
        work = self._calls.method(class_name, "__init__", MethodOptions(), 0)
        task, seq = self._calls.task(work, args, kwargs, 1)
        task.pins = (*task.pins, *definition.captured)
        brain.objects.live(seq)
        life = self._memory.own(seq)
        info = msgspec.structs.replace(info, actor=seq, owner=brain.me)
        held, placed = placement(options)
        job, _, space, inherited, raises = self._context.origin()
        where, captures = options.where, bool(inherited)
        if inherited and where is None:
            where = Where(group=inherited)
        if where is not None:
            group, captures = chosen_group(where, inherited)
            where = msgspec.structs.replace(self._located(where), group=group, sizes=())
            if group:
                held = in_group(held, group, where.bundle)
                placed = in_group(placed, group, where.bundle)
        env = self._calls.environments.of(options.runtime_env)
        if env is not None and env.packages and options.lifetime == "detached":
            from nbray.runtime.shell.client.lasting_archives import lasting  # late: few ask

            env = lasting(self._memory, env, (brain.me, seq))
        spec = m.ActorSpec(
            owner=brain.me,
            actor=seq,
            name=options.name,
            namespace=options.namespace or space,
            class_name=class_name,
            function=definition.digest,
            blob=blob,
            args=m.Value(),
            args_ref=(0, 0),
            deps=[],
            resources=held,
            placement=placed,
            max_restarts=options.max_restarts,
            max_concurrency=options.max_concurrency,
            detached=options.lifetime == "detached",
            get_if_exists=options.get_if_exists,
            info=pack(info).join(),
            cell=session.cell.get(),
            job=job,
            node=options.node,
            groups=dict(options.concurrency_groups),
            env=env,
            where=where,
            captures=captures,
            raises=raises,
        )
        if not options.name:
            self._submitted((brain.actors.create, task, spec))
            self._loop.flush()
            return info, life

        def register(_token: int) -> list[ClientEffect]:
            return brain.actors.create(task, spec)

        answer = self._memory.ask(register, -seq)
        if answer.why:
            raise ActorAlreadyExistsError(answer.why)
        if answer.existing is not None:
            existing: ActorInfo = unpack(answer.existing.info, self._memory.restore)
            return existing, self._memory.restore(existing.owner, existing.actor)
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
        """Call a method (see `Actors.call`)."""
        if life._engine is not self._memory.engine and life._engine.ended:
            what = f"the actor {info.class_name} ({info.hex()})"
            raise reference_ended(what, life._engine.ended)
        if session.halted:
            session.check_run()
        retries = options.max_task_retries
        if retries == -2:
            retries = info.max_task_retries
        key = (info.owner, info.actor)
        limit = info.max_pending_calls
        if limit > 0:
            self._loop.flush()
            link = self._brain.actors.links.get(key)
            if link is not None and len(link.queue) + len(link.inflight) >= limit:
                raise PendingCallsLimitExceeded(
                    f"{limit} calls of {info.class_name} are waiting already (max_pending_calls)"
                )
        work = self._calls.method(info.class_name, method, options, retries)
        task, seq = self._calls.task(work, args, kwargs, options.num_returns)
        actors = self._brain.actors
        submit = actors.call_unordered if info.unordered else actors.call
        item = (submit, key, info.class_name, task)
        return self._launch(task, item, seq, options.num_returns)

    def named(self, name: str, namespace: str) -> tuple[ActorInfo, ObjectRef[Any]]:
        """A named actor (see `Actors.named`)."""
        where = namespace or self._context.origin()[2]
        if max(len(name), len(where)) > MOST_NAME:
            raise ValueError(
                f"no actor is called by a name of {len(name):,} characters in a namespace of "
                f"{len(where):,}: they have at most {MOST_NAME:,}"
            )
        found = self._memory.request(
            HEAD, lambda token: m.FindActor(self._brain.me, token, name, where)
        )
        if not found.info:
            raise ValueError(
                f"no live actor is called {name!r} in namespace {where!r}: it was never made, "
                "has ended, or was made under another namespace"
            )
        info: ActorInfo = unpack(found.info, self._memory.restore)
        return info, self._memory.restore(info.owner, info.actor)

    def owns(self, info: ActorInfo) -> bool:
        """Whether this client has made it (see `Actors.owns`)."""
        return info.owner == self._brain.me

    def ended(self, info: ActorInfo) -> bool:
        """Whether it is dead (see `Actors.ended`)."""
        link = self._brain.actors.links.get((info.owner, info.actor))
        return link is not None and link.state == m.DEAD

    def names(self, all_namespaces: bool) -> list[tuple[str, str]]:
        """Named actors (see `Actors.names`)."""
        where = self._context.origin()[2]
        answer = self._memory.request(
            HEAD, lambda token: m.ListActors(self._brain.me, token, where, all_namespaces)
        )
        names: list[tuple[str, str]] = answer.names
        return names

    def kill(self, info: ActorInfo, no_restart: bool) -> None:
        """End an actor (see `Actors.kill`)."""
        key = (info.owner, info.actor)
        self._loop.locked(
            lambda: [
                *self._brain.pump(self._loop.now()),
                *self._brain.actors.end(key, no_restart, "it was killed"),
            ]
        )
