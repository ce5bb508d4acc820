"""One call of the inline engine, and the running of user code.

Owns what a call is (packed arguments, references to fill, what to retry) and
how its end becomes values or an error. Does not own when calls run (`engine`,
`actors`). Rule: arguments and results are pickled even though nothing leaves
the process, so that programs meet the same copies and errors as on a cluster.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import GeneratorType
from typing import Any

import msgspec

from nbray.config import TASKS_REMEMBERED
from nbray.details import CANCELLED, DONE, FAILED, TaskRecord
from nbray.engine import RuntimeInfo
from nbray.engines.inline.objects import Objects
from nbray.engines.inline.output import Outputs
from nbray.engines.inline.tally import Tally
from nbray.exceptions import (
    RayError,
    RaySystemError,
    TaskCancelledError,
    WorkerCrashedError,
    on_behalf,
)
from nbray.generators import DynamicObjectRefGenerator
from nbray.hosting.returned import split, written, yielded
from nbray.options import RetryOn
from nbray.refs import ObjectRef
from nbray.wire.failures import one_line, passed_on
from nbray.wire.pickling import pack, pack_call, pack_error

running: ContextVar[RuntimeInfo | None] = ContextVar("nbray_inline_running", default=None)
"""The task or method that the calling context runs, or None in the driver."""


class Upstream(Exception):
    """An argument's own task failed; its error is this call's error.

    Attributes:
        error: as `pack_error` made it.
    """

    def __init__(self, error: bytes) -> None:
        super().__init__()
        self.error = error


class Call:
    """One task or method call from submission to its end.

    Attributes:
        name: what errors and output call it.
        refs: the references it fills.
        holds: references inside its packed arguments, kept until it ends.
        task: the asyncio task that runs it, if one does.
    """

    __slots__ = (
        "began", "cell", "counted", "data", "defined", "deps", "gathers", "holds", "info", "listed",
        "method", "name", "parent", "refs", "retries", "retry_on", "stream", "task", "unread",
    )  # fmt: skip

    def __init__(
        self,
        objects: Objects,
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        num_returns: int,
        cell: str,
        method: str = "",
    ) -> None:
        packed, self.deps = pack_call(args, kwargs, name)
        for _, ref in self.deps:
            if ref._engine is not objects.engine and ref._engine.ended:
                raise ref.ended()
        self.data = packed.join()
        self.holds = [objects.ref(owner, seq) for owner, seq in packed.refs]
        self.name = name
        self.defined = ""
        """The function's own name, where its caller gave another."""
        self.cell = cell
        self.method = method
        self.counted = True
        self.began = (time.perf_counter(), time.process_time())
        """When it was made, which is when it runs: the clock's time and the process's."""
        self.refs: list[ObjectRef[Any]] = [
            objects.new(self, bool(method)) for _ in range(abs(num_returns) and max(1, num_returns))
        ]
        self.info = RuntimeInfo()
        self.parent = running.get()
        """Whose code has made it (None: the driver's)."""
        self.retries = 0
        self.listed = True
        self.retry_on: RetryOn = False
        self.task: Any = None
        self.stream: Any = None
        """Where its values go one by one, if it yields them."""
        self.gathers = False
        """Its value names all that it yields."""
        self.unread = False
        """Nobody reads them any more."""

    def waits(self, objects: Objects) -> bool:
        """Whether an argument is not there yet."""
        return not all(objects.is_done(ref) for _, ref in self.deps)


class Runner:
    """Runs calls in the calling thread and fills their references."""

    def __init__(self, objects: Objects, outputs: Outputs, tally: Tally, node_name: str) -> None:
        self._objects = objects
        self._outputs = outputs
        self._tally = tally
        self._node_name = node_name
        self.past: deque[TaskRecord] = deque(maxlen=TASKS_REMEMBERED)
        """The last attempts that ended."""

    def yielded(self, call: Call) -> None:
        """A generator has given a value."""
        if call.counted:
            self._tally.yielded(call.cell)

    def arguments(self, call: Call) -> tuple[list[Any], dict[str, Any]]:
        """Fresh copies of a call's arguments, references among them resolved.

        Raises:
            Upstream: one of them failed.
            RaySystemError: one could not be put together again.
        """
        try:
            return self._copied(call)
        except RaySystemError as error:
            if isinstance(error.client_exc, Exception):
                on_behalf(error)
            raise

    def _copied(self, call: Call) -> tuple[list[Any], dict[str, Any]]:
        given, kwargs = self._objects.value((call.data, False))
        args = list(given)
        for place, ref in call.deps:
            outcome = self._objects.outcome(ref, None)
            if outcome is None:  # there is no time-out
                continue
            if outcome[1]:
                raise Upstream(passed_on(outcome[0], call.name))
            value = self._objects.value(outcome)
            if isinstance(place, int):
                args[place] = value
            else:
                kwargs[place] = value
        return args, kwargs

    @contextmanager
    def inside(self, call: Call, attempt: int) -> Iterator[None]:
        """Makes the calling context that of the call."""
        token = running.set(msgspec.structs.replace(call.info, attempt=attempt))
        try:
            with self._outputs.of(call.cell, call.name):
                if not call.info.runtime_env:
                    yield
                    return
                from nbray.engines.inline.variables import variables  # late: few have any

                with variables(call.info.runtime_env):
                    yield
        finally:
            running.reset(token)

    def run(self, call: Call, target: Callable[..., Any]) -> None:
        """Run *call* to its end, again if it may be retried.

        Raises:
            SystemExit: the user's code asked its process to end; a task's references have failed.
        """
        attempt = 0
        while True:
            try:
                args, kwargs = self.arguments(call)
                with self.inside(call, attempt):
                    result = target(*args, **kwargs)
                    if call.gathers:
                        result = self.gathered(call, result, attempt)
                self.succeed(call, result)
                return
            except Upstream as upstream:
                self.fail(call, upstream.error)
                return
            except SystemExit as error:
                if not call.method:
                    self.fail(call, WorkerCrashedError(f"{call.name} ended its process: {error!r}"))
                raise
            except Exception as error:  # noqa: BLE001 - users' code raises what it likes
                if not may_retry(call, error, attempt):
                    self.fail(call, error)
                    return
                self._note(call, FAILED, one_line(error))
                attempt += 1

    def succeed(self, call: Call, result: Any, failed: bool = False) -> None:
        """Fill the call's references; it counts as *failed* if its error is one of its values.

        Raises:
            ValueError: not as many values as `num_returns` says.
            TypeError: a value cannot be pickled.
        """
        count = len(call.refs)
        error: BaseException | None = None
        if isinstance(result, GeneratorType) and count and not written(result):
            values, error = yielded(call.name, result, count)
            if error is not None and may_retry(call, error, 0):
                raise error
        else:
            values = [result] if count == 1 else several(call.name, result, count)
        packed = [pack(value, f"the result of {call.name}") for value in values]
        for ref, one in zip(call.refs, packed, strict=False):
            self._objects.store(ref, one)
        if error is not None:
            self._objects.fail(call.refs[len(packed) :], self.error_of(call, error))
        self._note(call, FAILED if failed else DONE)
        if call.counted:
            self._ended(call, failed)
        if call.stream is not None:
            call.stream.end(False)

    def fail(self, call: Call, error: BaseException | bytes) -> None:
        """Give the call's references an error."""
        if isinstance(error, bytes):
            self._note(call, FAILED, "one of its arguments failed")
        else:
            cancelled = isinstance(error, TaskCancelledError)
            self._note(call, CANCELLED if cancelled else FAILED, one_line(error))
        if not isinstance(error, bytes):
            error = self.error_of(call, error)
        self._objects.fail(call.refs, error)
        if call.counted:
            self._ended(call, True)
        if call.stream is not None:
            call.stream.end(True)

    def gathered(self, call: Call, result: Any, attempt: int) -> Any:
        """All that *result* yields, as the value of a task with `num_returns="dynamic"`."""
        objects, what = self._objects, f"what {call.name} yields"
        refs: list[ObjectRef[Any]] = []
        try:
            for value in result:
                refs.append(objects.new())
                objects.store(refs[-1], pack(value, what))
        except Exception as error:
            if may_retry(call, error, attempt):
                raise
            refs.append(objects.new())
            objects.fail(refs[-1:], self.error_of(call, error))
        return DynamicObjectRefGenerator(refs)

    def error_of(self, call: Call, error: BaseException) -> bytes:
        """*error* as whoever asks for what *call* makes meets it."""
        own = isinstance(error, RayError) and error.__traceback__ is None
        return pack_error(error, "" if own else call.name, self._node_name, os.getpid())

    def _note(self, call: Call, state: int, why: str = "") -> None:
        """Remember an attempt that has ended."""
        info = call.info
        task, actor = info.task_id, info.actor_id
        if not task:
            return
        owner, seq = _key(task)
        now = time.monotonic()
        self.past.append(
            TaskRecord(
                owner=owner, seq=seq, name=call.name, cell=call.cell, job=owner, state=state,
                worker=int(info.worker_id[:16], 16), ended=now, why=why,
                started=now - (time.perf_counter() - call.began[0]), defined=call.defined,
                actor=_key(actor) if actor else (0, 0),
                parent=_key(call.parent.task_id) if call.parent is not None else (0, 0),
                resources={} if actor else info.assigned, listed=call.listed,
            )
        )  # fmt: skip

    def _ended(self, call: Call, failed: bool) -> None:
        began, cpu = call.began
        took = time.perf_counter() - began
        self._tally.ended(call.cell, failed, took, time.process_time() - cpu)


def _key(identity: str) -> tuple[int, int]:
    return int(identity[:16], 16), int(identity[16:32], 16)


def may_retry(call: Call, error: BaseException, attempt: int) -> bool:
    """Whether the call's options want it run again after this error."""
    if call.retries in {attempt, 0}:
        return False
    if isinstance(call.retry_on, tuple):
        return isinstance(error, call.retry_on)
    return call.retry_on


def several(name: str, result: Any, count: int) -> list[Any]:
    """The values of a call with *count* returns; see `hosting.returned.split`."""
    if count:
        return split(name, result, count)
    if isinstance(result, GeneratorType):
        deque(result, maxlen=0)  # its body has not run yet
    return []
