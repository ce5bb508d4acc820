"""The smallest engine: tasks run at once, in the thread that calls; the rest is what a test says.

Carries tests of whatever uses an engine, and shows what a new one needs: work and objects.
Rule: functions, arguments and results are pickled, so that programs meet the same copies as
on a cluster. Nothing is freed before `shutdown`; options other than returns and name do nothing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from nbray.config import InitConfig
from nbray.engine import Capabilities, Function, RuntimeInfo
from nbray.engines.parts import NoActors, OneMachine, PlainCells, PlainContext, PlainInsight
from nbray.exceptions import ObjectLostError, RaySystemError, in_future
from nbray.ids import DRIVER_FLAG, FIRST_NODE, client_id, job_hex, node_hex, worker_hex
from nbray.options import UNIT, TaskOptions, demand
from nbray.refs import ObjectRef
from nbray.wire import pickling as p
from nbray.wire.functions import pack_function

_numbers = itertools.count(1)
"""Engines of this process, so that a reference of an ended one is known as such."""


def start(config: InitConfig) -> ScriptedEngine:
    """A new engine in this process."""
    return ScriptedEngine(config)


class ScriptedEngine:
    """See `nbray.engine.Engine` for the methods."""

    capabilities = Capabilities("scripted", False, False, actors=False, early=False)
    def __init__(self, config: InitConfig | None = None) -> None:
        config = config or InitConfig()
        self._owner = owner = client_id(FIRST_NODE, DRIVER_FLAG | next(_numbers))
        node = node_hex(FIRST_NODE, owner)
        total = {"CPU": config.num_cpus or float(os.cpu_count() or 1), **config.resources}
        self.ended = ""
        self.actors = NoActors()
        self.cells = PlainCells()
        self.cluster = OneMachine(node, total)
        here = RuntimeInfo(job_hex(owner), node, worker_hex(owner), namespace=config.namespace)
        self.context = PlainContext(here, self._ref)
        self.insight = PlainInsight()
        self._sequence = itertools.count(1)
        self._values: dict[int, tuple[bytes, bool]] = {}
        """By number: what was pickled, and whether that is an error."""

    # -- work

    def submit(
        self, function: Function, args: Sequence[Any], kwargs: dict[str, Any], options: TaskOptions
    ) -> list[ObjectRef[Any]]:
        """The task has run when this returns."""
        call, name, count = self._load(function), options.name or function.name, options.num_returns
        packed, deps = p.pack_call(args, kwargs, name)
        refs = [self._ref(self._owner, next(self._sequence)) for _ in range(count)]
        task = msgspec.structs.replace(
            self.context.here, task_name=name, task_id=refs[0].hex()[:48] if refs else "none",
            assigned={kind: amount / UNIT for kind, amount in demand(options).items()},
        )  # fmt: skip
        try:
            places = [(place, self._value(ref)) for place, ref in deps]
            given, named = p.unpack(packed.join(), self._ref)
            at: Any = dict(enumerate(given)) | named
            at.update(places)
            given = [at.pop(place) for place in range(len(given))]
            with self.context.inside(task):
                result = call(*given, **at)
            values = [result] if count == 1 else list(result or ())
            if len(values) != count:
                raise ValueError(f"{name} has num_returns={count} but returned {len(values)}")
            done = [(p.pack(value, f"the result of {name}").join(), False) for value in values]
        except Exception as error:  # noqa: BLE001 - users' code raises what it likes
            done = [(p.pack_error(error, name, "", os.getpid()), True)] * count
        self._values.update(zip((ref.seq for ref in refs), done, strict=True))
        return refs

    def _load(self, function: Function) -> Any:
        """The function as a worker would have it: pickled once, unpickled once."""
        if self.ended:
            raise RaySystemError("this session has ended: call nbray.init() again")
        if self not in function.cache:
            blob = pack_function(function.call, function.name)[1]
            function.cache[self] = p.unpack(blob, self._ref)
        return function.cache[self]

    def cancel(
        self, ref: ObjectRef[Any], force: bool, recursive: bool, interrupts: bool = False
    ) -> None:
        """It has ended."""

    # -- objects
    def _ref(self, owner: int, seq: int) -> ObjectRef[Any]:
        return ObjectRef(owner, seq, self, None)

    def _value(self, ref: ObjectRef[Any]) -> Any:
        if ref._engine is not self and ref._engine.ended:
            raise ref.ended()
        if ref.owner != self._owner or ref.seq not in self._values:
            raise ObjectLostError(f"{ref!r} is not of this session")
        data, failed = self._values[ref.seq]
        if failed:
            raise p.unpack_error(data)
        return p.unpack(data, self._ref)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """All are there."""
        return [self._value(ref) for ref in refs]

    def put(self, value: Any) -> ObjectRef[Any]:
        """A copy is kept."""
        ref = self._ref(self._owner, next(self._sequence))
        self._values[ref.seq] = p.pack(value, "the value").join(), False
        return ref

    def wait(
        self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None,
        fetch_local: bool,
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:  # fmt: skip
        """All are there."""
        return list(refs[:num_returns]), list(refs[num_returns:])

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        """It is done already."""
        future: Future[Any] = Future()
        try:
            future.set_result(self._value(ref))
        except Exception as error:  # noqa: BLE001 - whatever the task raised
            future.set_exception(in_future(error))
        return future

    # -- its end

    def forked(self) -> None:
        """Nothing acts."""

    def shutdown(self) -> None:
        """All values are gone."""
        self.ended = "nbray.shutdown() was called"
        self._values.clear()
