"""The inline engine itself: work and objects; its other parts are beside it.

Rule: a task has ended when `submit` returns, unless it waits for an async actor.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, cast

from nbray.config import InitConfig
from nbray.engine import Capabilities, Function
from nbray.engines.inline.actor import Actor
from nbray.engines.inline.actors import InlineActors
from nbray.engines.inline.cells import InlineCells
from nbray.engines.inline.cluster import InlineCluster
from nbray.engines.inline.context import InlineContext
from nbray.engines.inline.groups import GONE
from nbray.engines.inline.insight import InlineInsight
from nbray.engines.inline.launching import Launcher
from nbray.engines.inline.objects import Objects
from nbray.engines.inline.output import Outputs
from nbray.engines.inline.running import Call, Runner
from nbray.engines.inline.streams import InlineStream
from nbray.engines.inline.tally import Tally
from nbray.exceptions import (
    GetTimeoutError,
    RaySystemError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
    in_future,
)
from nbray.generators import ObjectRefGenerator
from nbray.ids import DRIVER_FLAG, FIRST_NODE, client_id
from nbray.options import DYNAMIC, STREAMING, TaskOptions, demand
from nbray.refs import ObjectRef
from nbray.wire.pickling import pack

_numbers = itertools.count(1)
"""Sessions of this process, so that a reference of an ended one is known as such."""


class InlineEngine:
    """Runs everything in the calling thread. See `nbray.engine.Engine` for the methods."""

    capabilities = Capabilities("inline", concurrent=False, processes=False, early=False,
                                environments=False)  # fmt: skip
    ended = ""

    def __init__(self, config: InitConfig) -> None:
        number = next(_numbers)
        owner = client_id(FIRST_NODE, DRIVER_FLAG | number)
        actors: dict[int, Actor] = {}
        self.cluster = InlineCluster(config, owner)
        tally, outputs = Tally(self.cluster.host), Outputs(self.cluster.host)
        self._objects = Objects(self, owner, self._freed)
        self._runner = Runner(self._objects, outputs, tally, self.cluster.host)
        self._launcher = Launcher(self._objects, tally)
        self.context = InlineContext(
            owner, config.namespace or f"inline-{number}", self.cluster, self._objects, actors,
            json.dumps(config.runtime_env, sort_keys=True) if config.runtime_env else "",
        )
        self.actors = InlineActors(
            owner, actors, self._objects, self._runner, self._launcher, self.context, self.cluster
        )
        groups = self.cluster.groups
        groups.objects, groups.ended = self._objects, self.actors.without_group
        groups.namespace = lambda: self.context.runtime().namespace
        self.cells = InlineCells(tally, outputs, self.actors)
        self.insight = InlineInsight(
            owner, self.capabilities.name, self.cluster, self._objects, tally, self.actors,
            self._runner.past,
        )

    def _freed(self, seq: int) -> None:
        self.actors.freed(seq)

    # -- tasks

    def submit(
        self, function: Function, args: Sequence[Any], kwargs: dict[str, Any], options: TaskOptions
    ) -> list[ObjectRef[Any]]:
        """See the protocol. The task has run when this returns."""
        target = self._launcher.load(function)
        call = self._launcher.call(
            options.name or function.name, args, kwargs, options.num_returns, "", options.counted
        )
        call.defined = function.name if options.name else ""
        call.retries = options.max_retries
        call.retry_on = options.retry_exceptions
        call.listed = options.listed
        call.info = self.context.of_task(call, options, target)
        call.gathers = options.num_returns == DYNAMIC
        stream: InlineStream | None = None
        if options.num_returns == STREAMING:
            stream = InlineStream(
                self._objects, self._runner, call, options.most_unread,
                lambda: self.cluster.holding(demand(options)),
            )  # fmt: skip
        lacking = self.cluster.lacking(options)
        group = call.info.group
        if group and self.cluster.groups.state(group) == "REMOVED":
            self._runner.fail(call, TaskPlacementGroupRemoved(GONE))
        elif lacking:
            self._runner.fail(call, TaskUnschedulableError(f"{call.name} can never run: {lacking}"))
        elif stream is not None:
            stream.start(target)
        else:
            self._launcher.now_or_later(call, lambda: self._run_task(call, target, options))
        if stream is not None:
            return cast("list[ObjectRef[Any]]", [ObjectRefGenerator(stream)])
        return call.refs

    def _run_task(self, call: Call, target: Callable[..., Any], options: TaskOptions) -> None:
        held = {} if call.info.group else demand(options)  # a group holds its own
        with self.cluster.holding(held), contextlib.suppress(SystemExit):
            contextvars.copy_context().run(self._runner.run, call, target)

    # -- objects

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        until = None if timeout is None else time.monotonic() + timeout
        values = []
        for ref in refs:
            self._refuse_ended(ref)
            self._refuse_own_wait(ref, timeout)
        failed = self._objects.gather(refs, timeout)
        for ref in refs if failed is None else (failed,):
            left = None if until is None else max(0.0, until - time.monotonic())
            outcome = self._objects.outcome(ref, left)
            if outcome is None:
                raise GetTimeoutError(f"{ref!r} was not ready within {timeout} s")
            values.append(self._objects.value(outcome))
        return values

    def _refuse_ended(self, ref: ObjectRef[Any]) -> None:
        """A reference of a session that has ended."""
        if ref._engine is not self and ref._engine.ended:
            raise ref.ended()

    def _refuse_own_wait(self, ref: ObjectRef[Any], timeout: float | None) -> None:
        """A method that waits for a later call of its own actor would wait for ever."""
        slot = self._objects.find(ref)
        if slot is None or slot.done or timeout is not None or not isinstance(slot.call, Call):
            return
        actor = self.actors.of(slot.call)
        if actor is not None and actor.emptying == threading.get_ident():
            raise RaySystemError(
                f"{slot.call.name} cannot start before the method that waits for it ends: "
                "the actor runs one call at a time"
            )

    def put(self, value: Any) -> ObjectRef[Any]:
        self._launcher.check_open()
        packed = pack(value, "the value")
        ref = self._objects.new()
        self._objects.store(ref, packed)
        return ref

    def wait(
        self,
        refs: Sequence[ObjectRef[Any]],
        num_returns: int,
        timeout: float | None,
        fetch_local: bool,
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
        for ref in refs:
            self._refuse_ended(ref)
        ready = self._objects.wait(refs, num_returns, timeout)
        chosen = set(ready)
        return ready, [ref for ref in refs if ref not in chosen]

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        future: Future[Any] = Future()
        if self._launcher.closed:
            future.set_exception(ref.ended())
            return future

        def finish() -> None:
            outcome = self._objects.outcome(ref, None)
            if outcome is None or not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(self._objects.value(outcome))
            except Exception as error:  # noqa: BLE001 - whatever the task raised
                future.set_exception(in_future(error))

        self._objects.when_done(ref, finish)
        return future

    def cancel(
        self, ref: ObjectRef[Any], force: bool, recursive: bool, interrupts: bool = False
    ) -> None:
        """See the protocol. Only calls of async actors can be unfinished."""
        slot = self._objects.find(ref)
        if slot is not None and slot.from_actor and force:
            raise ValueError("force=True is not possible for an actor's call: use kill(actor)")
        if slot is not None and isinstance(slot.call, Call):
            actor = self.actors.of(slot.call)
            if slot.call.stream is not None:
                slot.call.stream.cancel()
            if actor is not None:
                actor.cancel(slot.call)

    def forked(self) -> None:
        """See the protocol."""

    def shutdown(self) -> None:
        self._launcher.closed = True
        self.ended = "nbray.shutdown() was called"
        self.actors.end()
