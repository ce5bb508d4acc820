"""The errors users meet, by Ray's names.

::

    RayError
     +- RayTaskError             a task raised (also an instance of what it raised)
     +- TaskCancelledError
     +- TaskUnschedulableError   no node can ever satisfy the request
     +- RaySystemError           the runtime itself could not do it
     +- WorkerCrashedError       the process running the task died
     |   +- OutOfMemoryError
     +- RayActorError
     |   +- ActorDiedError
     |   |   +- ActorUnschedulableError
     |   +- ActorUnavailableError
     +- GetTimeoutError          (also a TimeoutError)
     +- ObjectLostError
     |   +- OwnerDiedError
     |   +- ObjectFreedError
     +- ObjectStoreFullError
     +- NodeDiedError
     +- UnserializableException
     +- PendingCallsLimitExceeded
     +- AuthenticationError      the peer's secret is not ours
     +- VersionMismatchError

Every class survives pickling: the message is built where the facts are and
travels as text.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, TypeVar


class RayError(Exception):
    """Base class of every error nbray raises on its own account."""


class RaySystemError(RayError):
    """The runtime could not do what was asked; the message says what to do next."""


def cluster_ended(why: str) -> RaySystemError:
    """What every call raises once the cluster has ended, because of *why*."""
    return RaySystemError(
        f"the cluster has ended: {why} (nbray.init() starts another; what was stored there is gone)"
    )


def reference_ended(what: str, why: str) -> RaySystemError:
    """What every use of *what*, an object or actor of a cluster that has ended, raises."""
    return RaySystemError(
        f"{what} belongs to a cluster that has ended ({why or 'nbray.shutdown() was called'}), and "
        "what it stood for is gone with it: make it again, by nbray.put(...) or .remote(...), in "
        "the cluster that runs now"
    )


class AuthenticationError(RaySystemError):
    """A peer does not hold this cluster's secret."""


class VersionMismatchError(RaySystemError):
    """A peer runs another Python minor version or protocol."""


class TaskCancelledError(RayError):
    """The task was cancelled, by `cancel` or by the Stop button."""


class TaskUnschedulableError(RayError):
    """No node of the cluster can ever satisfy the task's resources."""


class WorkerCrashedError(RayError):
    """The worker process died while it ran the task."""


class OutOfMemoryError(WorkerCrashedError):
    """The worker was killed because its machine ran out of memory."""


class RayActorError(RayError):
    """An actor's method could not be run."""


class ActorDiedError(RayActorError):
    """The actor is dead and will not come back."""


class ActorUnschedulableError(ActorDiedError):
    """No node of the cluster can ever hold the actor."""


class ActorUnavailableError(RayActorError):
    """The actor is restarting; the call was not run, or its outcome is unknown."""


class GetTimeoutError(RayError, TimeoutError):
    """`get` ran out of time before the value was ready."""


class ObjectLostError(RayError):
    """The object's value is gone from every node that held it."""


class OwnerDiedError(ObjectLostError):
    """The process that owned the object has died."""


class ObjectFreedError(ObjectLostError):
    """The object was freed explicitly."""


class ObjectStoreFullError(RayError):
    """The value does not fit in the object store."""


class NodeDiedError(RayError):
    """A node has left the cluster or cannot be reached."""


class PendingCallsLimitExceeded(RayError):
    """More calls wait for this actor than its `max_pending_calls` allows."""


class UnserializableException(RayError):
    """Stands in for a user's exception that could not be pickled; carries its text."""


E = TypeVar("E", bound=BaseException)


class _Field:
    """An attribute of a `RayTaskError` which a user's attribute or property cannot hide."""

    def __init__(self, default: Any = None) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = f"_nbray_{name}"

    def __get__(self, error: BaseException | None, owner: type) -> Any:
        return self if error is None else error.__dict__.get(self._key, self._default)

    def __set__(self, error: BaseException, value: Any) -> None:
        error.__dict__[self._key] = value


class RayTaskError(RayError):
    """A task raised. Carries the remote traceback and the original exception.

    Users catch either this class or their own exception's class: the error
    that `get` raises is an instance of both (see `as_instanceof_cause`, an idea
    of Ray's).

    Attributes:
        function_name: what ran.
        traceback_str: the remote traceback as text, the user's line first.
        cause: the user's exception (or an `UnserializableException`).
        node, pid: where it ran.
        frames: the stack with its locals, packed (see `nbray.postmortem`); `%nbray debug` shows it.
        alike: how many tasks of one `get` failed the same way, this one included.
        among: how many tasks that `get` asked for; 0 where they were not counted.
    """

    function_name = _Field("")
    traceback_str = _Field("")
    cause = _Field()
    node = _Field("")
    pid = _Field(0)
    frames = _Field(b"")
    alike = _Field(1)
    among = _Field(0)

    def __init_subclass__(cls, **_: Any) -> None:
        """Stand before a user's method of this name, which may forbid subclasses."""

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException,
        node: str = "",
        pid: int = 0,
        frames: bytes = b"",
    ) -> None:
        super().__init__(function_name, traceback_str, cause, node, pid, frames)
        self._tell(function_name, traceback_str, cause, node, pid, frames)

    def _tell(
        self, function_name: str, traceback_str: str, cause: BaseException, node: str, pid: int,
        frames: bytes,
    ) -> None:  # fmt: skip
        self.frames = frames
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.node = node
        self.pid = pid

    def __str__(self) -> str:
        where = f" (node {self.node}, pid {self.pid})" if self.node else ""
        return f"{self.function_name}{where}\n{self.traceback_str}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            self.function_name, self.traceback_str, self.cause, self.node, self.pid, self.frames,
            type(self) is not RayTaskError,
        )  # fmt: skip

    def as_instanceof_cause(self) -> BaseException:
        """This error as an instance of both `RayTaskError` and the user's class.

        Where nothing can be both (a class of C code that is final, a group with members
        that are no `Exception`) it is the user's own exception, caused by this one. What
        would end or cancel the process that gets it stays a plain `RayTaskError`.
        """
        cause: BaseException = self.cause
        if isinstance(cause, RayError):
            return cause if isinstance(cause, RayTaskError) else self
        if isinstance(cause, _ends_whoever_gets_it()):
            return self
        from nbray.exceptional import like  # once a task has failed

        kind: Any = type(cause)
        try:
            error = like(_dual_class(kind), cause)
        except TypeError:
            self.__cause__ = cause.__cause__
            BaseException.__setattr__(cause, "__cause__", self)
            return BaseException.with_traceback(cause, None)
        assert isinstance(error, RayTaskError)
        error._tell(
            self.function_name, self.traceback_str, cause, self.node, self.pid, self.frames
        )
        return error


def _ends_whoever_gets_it() -> tuple[type[BaseException], ...]:
    found: list[type[BaseException]] = [KeyboardInterrupt, SystemExit, GeneratorExit]
    asyncio = sys.modules.get("asyncio.exceptions")
    if asyncio is not None:
        found.append(asyncio.CancelledError)
    return tuple(found)


def on_behalf(error: E) -> E:
    """Mark *error*, which nbray raises of what the user's code did: it is told without our frames.

    (See `nbray.wire.failures.pack_error`.)
    """
    error.__dict__["_nbray_brief"] = True
    return error


def in_future(error: BaseException) -> BaseException:
    """*error* as a future may carry it: awaiting a `StopIteration` would be its value's return."""
    if not isinstance(error, StopIteration):
        return error
    other = RuntimeError("the task raised StopIteration")
    other.__cause__ = error
    return other


def told_of(error: BaseException | None) -> RayTaskError | None:
    """What *error* tells of a failed task: itself, or what stands behind a class that is final."""
    if isinstance(error, RayTaskError):
        return error
    behind = error.__cause__ if error is not None else None
    return behind if isinstance(behind, RayTaskError) and behind.cause is error else None


@functools.lru_cache(maxsize=256)
def _dual_class(kind: Any) -> type[RayTaskError]:
    """A class that is a `RayTaskError` and a *kind*, named as users know *kind*.

    Raises:
        TypeError: there cannot be one.
    """
    name = f"RayTaskError({kind.__name__})"
    # What a class may have made its own, to be frozen, say, is not for what we add.
    space = {
        "__module__": "nbray.exceptions", "__qualname__": name,
        "__str__": RayTaskError.__str__, "__reduce__": RayTaskError.__reduce__,
        "__reduce_ex__": Exception.__reduce_ex__, "__setattr__": Exception.__setattr__,
        "__getattribute__": Exception.__getattribute__,
        "__hash__": Exception.__hash__, "__eq__": Exception.__eq__,
    }  # fmt: skip
    bases = (RayTaskError, kind)
    try:
        made: type[RayTaskError] = type(kind)(name, bases, dict(space))
        if RayTaskError in made.__mro__ and kind in made.__mro__:
            return made
    except Exception:  # noqa: BLE001, S110 - metaclasses raise what they like
        pass
    # A metaclass may forbid it in its own `__new__`, which Python itself does not ask.
    forced: type[RayTaskError] = type.__new__(type(kind), name, bases, space)
    return forced


def _rebuild(
    function_name: str, traceback_str: str, cause: BaseException, node: str, pid: int,
    frames: bytes = b"", dual: bool = True,
) -> BaseException:  # fmt: skip
    error = RayTaskError(function_name, traceback_str, cause, node, pid, frames)
    return error.as_instanceof_cause() if dual else error
