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
from typing import Any


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
    """

    alike = 1

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
        self.frames = frames
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.node = node
        self.pid = pid

    def __str__(self) -> str:
        where = f" (node {self.node}, pid {self.pid})" if self.node else ""
        return f"{self.function_name}{where}\n{self.traceback_str}".rstrip()

    def as_instanceof_cause(self) -> RayTaskError:
        """This error as an instance of both `RayTaskError` and the user's class.

        Falls back to the plain `RayTaskError` where the user's class forbids it
        (a custom layout, or a metaclass conflict).
        """
        kind = type(self.cause)
        if isinstance(self.cause, RayError):
            return self if not isinstance(self.cause, RayTaskError) else self.cause
        if not isinstance(self.cause, Exception):
            return self
        try:
            dual = _dual_class(kind)  # type: ignore[arg-type] # classes are hashable
            error: RayTaskError = dual(
                self.function_name, self.traceback_str, self.cause, self.node, self.pid,
                self.frames,
            )  # fmt: skip
        except TypeError:
            return self
        error.__cause__ = None
        return error


@functools.lru_cache(maxsize=256)
def _dual_class(kind: type[BaseException]) -> type[RayTaskError]:
    """A class that is a `RayTaskError` and a *kind*, named as users know *kind*."""

    class Dual(RayTaskError, kind):  # type: ignore[misc, valid-type]
        def __init__(
            self, function_name: str, traceback_str: str, cause: BaseException, node: str,
            pid: int, frames: bytes = b"",
        ) -> None:  # fmt: skip
            # The user's __init__ is not run: its signature is unknown. What it
            # set on the instance is copied instead.
            Exception.__init__(self, function_name, traceback_str, cause, node, pid, frames)
            self.__dict__.update(getattr(cause, "__dict__", {}))
            self.function_name = function_name
            self.traceback_str = traceback_str
            self.cause = cause
            self.node = node
            self.pid = pid
            self.frames = frames
            self.args = cause.args

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, (
                self.function_name,
                self.traceback_str,
                self.cause,
                self.node,
                self.pid,
                self.frames,
            )

        def __str__(self) -> str:
            return RayTaskError.__str__(self)

    Dual.__name__ = f"RayTaskError({kind.__name__})"
    Dual.__qualname__ = Dual.__name__
    Dual.__module__ = "nbray.exceptions"
    return Dual


def _rebuild(
    function_name: str, traceback_str: str, cause: BaseException, node: str, pid: int,
    frames: bytes = b"",
) -> RayTaskError:  # fmt: skip
    error = RayTaskError(function_name, traceback_str, cause, node, pid, frames)
    return error.as_instanceof_cause()
