"""The Ray engine itself: work and objects; its other parts are beside it.

Rule: Ray schedules, counts and tries again; here values and errors are nbray's.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import ray

from nbray import session
from nbray.config import InitConfig
from nbray.engine import Function
from nbray.engines.ray import asked, travelling
from nbray.engines.ray.abilities import capabilities
from nbray.engines.ray.actors import RayActors
from nbray.engines.ray.boxes import Unmade, boxed, received
from nbray.engines.ray.cells import RayCells
from nbray.engines.ray.cluster import RayCluster
from nbray.engines.ray.context import RayContext
from nbray.engines.ray.defined import defined
from nbray.engines.ray.errors import Failed, translated
from nbray.engines.ray.groups import RayGroups
from nbray.engines.ray.heads import Head, behind, encode, retrying
from nbray.engines.ray.insight import RayInsight
from nbray.engines.ray.references import table, theirs
from nbray.engines.ray.streams import RayStream
from nbray.engines.ray.watching import Watch
from nbray.engines.ray.worker import trampoline
from nbray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    RaySystemError,
    TaskUnschedulableError,
    cluster_ended,
    in_future,
)
from nbray.generators import ObjectRefGenerator
from nbray.options import DYNAMIC, STREAMING, ActorOptions, TaskOptions
from nbray.refs import ObjectRef
from nbray.wire.failures import pack_error


def _late(
    refs: Sequence[ObjectRef[Any]], asked_for: list[Any], timeout: float | None
) -> GetTimeoutError:
    """What is raised where *refs* are not all there in time."""
    if len(refs) == 1:
        return GetTimeoutError(f"{refs[0]!r} was not ready within {timeout} s")
    unlike = list(set(asked_for))
    rest = ray.wait(unlike, num_returns=len(unlike), timeout=0, fetch_local=False)[1]
    return GetTimeoutError(f"{len(rest)} of {len(refs)} values were not ready within {timeout} s")


class RayEngine:
    """Runs work on a Ray cluster. See `nbray.engine.Engine` for the methods."""

    capabilities = capabilities

    def __init__(self, config: InitConfig, worker: bool = False, mine: bool = False) -> None:
        self.ended = ""
        self._worker = worker
        self._mine = mine
        namespace = config.namespace or ray.get_runtime_context().namespace
        self.context = RayContext(self.check, worker, namespace)
        self.context.raises = config.infeasible == "raise"
        groups = RayGroups(self.check, lambda: self.context.namespace)
        address = ray.get_runtime_context().gcs_address
        self.cluster = RayCluster(self.check, groups, address)
        self.cells = RayCells(self.cluster, worker)
        self.insight = RayInsight(self.cluster, self.cells)
        self.actors = RayActors(self)
        self._watch = None if worker else Watch(self.cluster.address, self._over)
        if worker:
            from nbray.engines.ray import telling

            telling.install()

    def _over(self, why: str) -> None:
        self.ended = why
        self.cells.end()  # a thread that asked Ray after its end would join another cluster

    # -- tasks

    def submit(
        self, function: Function, args: Sequence[Any], kwargs: dict[str, Any], options: TaskOptions
    ) -> list[ObjectRef[Any]]:
        """See the protocol."""
        self.check()
        name = options.name or function.name
        modules = travelling.here().for_cell(session.cell.get())
        call = self._prepared(function, options, name)
        said, rest = behind(args, kwargs, name)
        cell = session.cell.get()
        head = Head(
            name, options.num_returns, cell, self.context.namespace, "",
            retrying(options.retry_exceptions), options.counted, modules, **said,
            box=self.cells.box(), number=self.cells.number(),
        )  # fmt: skip
        lacking = self.lacking(options)
        if lacking:
            error = TaskUnschedulableError(f"{name} can never run: {lacking}")
            return self.failed(error, name, options.num_returns)
        try:
            found = call.remote(encode(head), *rest)
        except ray.exceptions.RayError as error:
            raise translated(error) from None
        return self.references(found, options.num_returns, head)

    def _prepared(self, function: Function, options: TaskOptions, name: str) -> Any:
        """Ray's function with its options, made once for each of nbray's frozen options."""
        known = defined(self, function)
        ready = known.ready.get(id(options))
        if ready is None or ready[0] is not options:
            yields, calls = options.num_returns < 0, options.max_calls
            remote = known.remotes.get((yields, calls))
            if remote is None:
                run = trampoline(known.definition, yields)
                remote = ray.remote(max_calls=calls)(run) if calls else ray.remote(run)
                known.remotes[yields, calls] = remote
            given = asked.of_task(options, name)
            ready = known.ready[id(options)] = (options, remote.options(**given))
        return ready[1]

    def lacking(self, options: TaskOptions | ActorOptions) -> str:
        """Why nothing can ever do what asks for *options*, where that is an error."""
        return self.cluster.lacking(options) if self.context.raises else ""

    def references(self, found: Any, count: int, head: Head) -> list[ObjectRef[Any]]:
        """nbray's references for what Ray gave for a call."""
        if count == STREAMING:
            stream = RayStream(found)
            refs: list[Any] = [stream.completed]
            given: list[Any] = [ObjectRefGenerator(stream)]
        else:
            refs = given = (
                [] if not count else [table.hold(found)] if count in {1, DYNAMIC}
                else [table.hold(one) for one in found]
            )  # fmt: skip
        self.cells.launched(head, refs)
        return given

    def failed(self, error: BaseException, name: str, count: int) -> list[ObjectRef[Any]]:
        """References to what cannot be made, because of *error*."""
        data = pack_error(error, "", "", 0)
        refs = [table.hold(ray.put(Unmade(data))) for _ in range(abs(count))]
        if count == STREAMING:
            raise error
        return refs

    def cancel(
        self, ref: ObjectRef[Any], force: bool, recursive: bool, interrupts: bool = False
    ) -> None:
        """See the protocol."""
        self.check()
        desk = self.cells.desk
        if desk is not None and not force and desk.interrupt(ref._drop, interrupts):
            return
        try:
            ray.cancel(theirs(ref), force=force, recursive=recursive)
        except (ValueError, TypeError) as error:
            if "force" in str(error):
                raise ValueError(
                    "force=True is not possible for an actor's call: use kill(actor)"
                ) from None

    # -- objects

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        self.check()
        asked_for = [theirs(ref) for ref in refs]
        try:
            return [received(value) for value in ray.get(asked_for, timeout=timeout)]
        except ray.exceptions.GetTimeoutError:
            met: BaseException = _late(refs, asked_for, timeout)
        except (ray.exceptions.RayError, Failed) as error:
            met = self._met(error)
        except SystemExit as error:  # what Ray raises in whoever waits while it disconnects
            met = self._met(error)
        raise met  # here, so that it keeps its own cause

    def _met(self, error: BaseException) -> BaseException:
        """What is raised where Ray raises *error*."""
        if self.ended:
            return cluster_ended(self.ended)
        met = translated(error)
        if isinstance(met, ActorDiedError) and met.actor_id:
            self.actors.died(met.actor_id)
        return met

    def check(self) -> None:
        """Ray is asked nothing more once its cluster has ended: it would start another.

        Raises:
            RaySystemError: it has.
        """
        if self.ended:
            raise cluster_ended(self.ended)

    def put(self, value: Any) -> ObjectRef[Any]:
        self.check()
        carried = boxed(value, "the value")
        try:
            return table.hold(ray.put(carried))
        except ray.exceptions.RayError as error:
            raise translated(error) from None

    def wait(
        self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None,
        fetch_local: bool,
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:  # fmt: skip
        self.check()
        asked_for = [theirs(ref) for ref in refs]
        try:
            # Ray gives any that are ready; nbray the first of all that are
            ready, _ = ray.wait(
                asked_for, num_returns=len(asked_for), timeout=0, fetch_local=fetch_local
            )
            if len(ready) < num_returns and timeout != 0:
                ready, _ = ray.wait(
                    asked_for, num_returns=num_returns, timeout=timeout, fetch_local=fetch_local
                )
        except (ray.exceptions.RayError, SystemExit) as error:
            raise self._met(error) from None
        chosen = set(ready)
        there: list[ObjectRef[Any]] = []
        rest: list[ObjectRef[Any]] = []
        for ref, one in zip(refs, asked_for, strict=True):
            (there if one in chosen and len(there) < num_returns else rest).append(ref)
        return there, rest

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        future: Future[Any] = Future()

        def done(answer: Future[Any]) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(received(answer.result()))
            except BaseException as error:  # noqa: BLE001 - whatever the task raised
                future.set_exception(in_future(self._met(error)))

        try:
            theirs(ref).future().add_done_callback(done)
        except RaySystemError as error:
            future.set_exception(error)
        return future

    # -- its end

    def forked(self) -> None:
        """See the protocol: Ray's own connection is not used in a forked process."""

    def shutdown(self) -> None:
        if self._worker or self._watch is None:
            return
        watch, self._watch = self._watch, None
        if not self.ended:
            self.cells.end()
            travelling.forget()
            self.ended = "nbray.shutdown() was called"
        watch.close()
        ray.shutdown()

