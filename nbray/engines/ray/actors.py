"""Actors as their users have them: made, called, found by name and killed by Ray's own means.

Owns what is known of each actor beside Ray's handle. Does not own the actor's side (`resident`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import ray

from nbray import session
from nbray.engine import ActorInfo, Function
from nbray.engines.ray import asked, private, travelling
from nbray.engines.ray.defined import defined
from nbray.engines.ray.errors import translated
from nbray.engines.ray.heads import Head, behind, encode, retrying
from nbray.engines.ray.mailbox import SPACE
from nbray.engines.ray.references import table, theirs
from nbray.engines.ray.resident import resident_class
from nbray.exceptions import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorUnschedulableError,
    PendingCallsLimitExceeded,
    reference_ended,
)
from nbray.options import ActorOptions, MethodOptions
from nbray.refs import ObjectRef
from nbray.wire.pickling import pack, unpack

if TYPE_CHECKING:
    from nbray.engines.ray.engine import RayEngine


class RayActors:
    """Of one process. See `nbray.engine.Actors` for the methods."""

    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine
        self._made: set[tuple[int, int]] = set()
        self._unmade: dict[tuple[int, int], str] = {}
        """Why an actor that was never made is not."""
        self._killed: set[tuple[int, int]] = set()
        """Those that were killed here for good; Ray does so a moment later."""
        self._dead: set[tuple[int, int]] = set()
        """Those of which Ray has said so."""

    def died(self, actor_id: str) -> None:
        """Ray has said that an actor is dead for good."""
        self._dead.add((int(actor_id[:16], 16), int(actor_id[16:], 16)))

    def create(
        self, cls: Function, args: Sequence[Any], kwargs: dict[str, Any], options: ActorOptions,
        info: ActorInfo,
    ) -> tuple[ActorInfo, ObjectRef[Any]]:  # fmt: skip
        """See the protocol."""
        engine = self._engine
        engine.check()
        space = options.namespace or engine.context.namespace
        if options.name and options.get_if_exists:
            try:
                return self.named(options.name, space)
            except ValueError:
                pass  # there is none: it is made
        name = f"{info.class_name}.__init__"
        said, rest = behind(args, kwargs, name)
        modules = travelling.here().for_cell(session.cell.get())
        head = Head(
            name, 1, session.cell.get(), engine.context.namespace, "__init__", modules=modules,
            counted=False, box=engine.cells.box(), number=engine.cells.number(), **said,
        )
        made = self._class(cls, info, options)
        what = pack(info, f"what is known of {info.class_name}").join()
        try:
            handle = made.options(
                **asked.of_actor(options, engine.context.namespace, info.is_async, _retries(info))
            ).remote(encode(head), what, *rest)
        except ValueError as error:
            if options.name and "already" in str(error):
                raise ActorAlreadyExistsError(
                    f"the name {options.name!r} is already taken by another actor: use "
                    "get_if_exists=True, or get_actor()"
                ) from None
            raise
        life = table.hold(handle)
        info = msgspec.structs.replace(info, owner=life.owner, actor=life.seq)
        self._made.add(info.key)
        lacking = engine.lacking(options)
        if lacking:
            self._unmade[info.key] = f"the actor {info.class_name} can never run: {lacking}"
            ray.kill(handle)
        elif options.name:
            private.keep(*_kept(info.key), pack(info).join())
        return info, life

    def _class(self, cls: Function, info: ActorInfo, options: ActorOptions) -> Any:
        """Ray's actor class for *cls*, made once."""
        known = defined(self._engine, cls)
        groups = dict(options.concurrency_groups)
        which = (info.is_async, *sorted(groups.items()))
        made = known.remotes.get(which)
        if made is None:
            kind = resident_class(known.definition, cls.name, info.is_async)
            made = ray.remote(concurrency_groups=groups)(kind) if groups else ray.remote(kind)
            known.remotes[which] = made
        return made

    def call(
        self, info: ActorInfo, life: ObjectRef[Any], method: str, args: Sequence[Any],
        kwargs: dict[str, Any], options: MethodOptions,
    ) -> list[ObjectRef[Any]]:  # fmt: skip
        """See the protocol."""
        engine = self._engine
        if life._engine is not engine and life._engine.ended:
            what = f"the actor {info.class_name} ({info.hex()})"
            raise reference_ended(what, life._engine.ended)
        engine.check()
        name = options.name or f"{info.class_name}.{method}"
        said, rest = behind(args, kwargs, name)
        head = Head(
            name, options.num_returns, session.cell.get(), engine.context.namespace, method,
            retrying(options.retry_exceptions), options.counted,
            travelling.here().for_cell(session.cell.get()), **said,
            box=engine.cells.box(), number=engine.cells.number(),
        )  # fmt: skip
        if info.key in self._unmade:
            return engine.failed(
                ActorUnschedulableError(self._unmade[info.key]), name, options.num_returns
            )
        if info.key in self._killed:
            died = ActorDiedError(f"the actor {info.class_name} was killed by nbray.kill()")
            died.actor_id = info.hex()
            return engine.failed(died, name, options.num_returns)
        handle = theirs(life)
        streams = options.num_returns < 0
        try:
            found = (handle.stream if streams else handle.call).options(
                **asked.of_method(options, name, info.max_task_retries)
            ).remote(encode(head), *rest)  # fmt: skip
        except ray.exceptions.PendingCallsLimitExceeded:
            raise PendingCallsLimitExceeded(
                f"{info.max_pending_calls} calls wait for the actor {info.class_name} already "
                "(its max_pending_calls)"
            ) from None
        except ray.exceptions.RayError as error:
            raise translated(error) from None
        return engine.references(found, options.num_returns, head)

    def named(self, name: str, namespace: str) -> tuple[ActorInfo, ObjectRef[Any]]:
        """See the protocol."""
        self._engine.check()
        space = namespace or self._engine.context.namespace
        try:
            handle = ray.get_actor(name, namespace=space)
        except ValueError:
            raise ValueError(
                f"Failed to look up actor with name {name!r}: no live actor has this name in the "
                f"namespace {space!r}"
            ) from None
        life = table.hold(handle)
        known = private.kept(*_kept(life.key))
        if known is None:
            raise ValueError(
                f"the actor {name!r} was made by Ray's own API: use ray.get_actor({name!r})"
            )
        return unpack(known, table.reference), life

    def owns(self, info: ActorInfo) -> bool:
        return info.key in self._made

    def ended(self, info: ActorInfo) -> bool:
        return any(info.key in some for some in (self._dead, self._unmade, self._killed))

    def names(self, all_namespaces: bool) -> list[tuple[str, str]]:
        self._engine.check()
        found = ray.util.list_named_actors(all_namespaces=True)
        here = self._engine.context.namespace
        return [
            (one["namespace"], one["name"]) for one in found
            if one["namespace"] != SPACE and (all_namespaces or one["namespace"] == here)
        ]  # fmt: skip

    def kill(self, info: ActorInfo, no_restart: bool) -> None:
        self._engine.check()
        handle = table.of(info.key)
        ray.kill(handle, no_restart=no_restart)
        if no_restart:
            self._killed.add(info.key)


def _kept(actor: tuple[int, int]) -> tuple[str, str]:
    """(the job that made it, with whose id Ray's ends; the name of what is known of it)."""
    name = f"{actor[0]:016x}{actor[1]:016x}"
    return name[-8:], f"actor:{name}"


def _retries(info: ActorInfo) -> int:
    """How often some method is tried again (0: none is; -1: without end)."""
    counts = {one.max_task_retries for one in info.methods.values()} - {-2}
    return -1 if -1 in counts else max(counts, default=0)
