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
     +- RuntimeEnvSetupError, TaskPlacementGroupRemoved, ActorPlacementGroupRemoved
     +- ActorAlreadyExistsError, ActorHandleNotFoundError (also a ValueError)
     +- AuthenticationError      the peer's secret is not ours
     +- VersionMismatchError

Every class survives pickling: the message is built where the facts are and
travels as text.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar


class RayError(Exception):
    """Base class of every error nbray raises on its own account."""


class RaySystemError(RayError):
    """The runtime could not do what was asked; the message says what to do next.

    Attributes:
        client_exc: the message, or the exception that was in the way.
        traceback_str: as it was given.
    """

    def __init__(self, client_exc: Any = "", traceback_str: str | None = None) -> None:
        self.client_exc = client_exc
        self.traceback_str = traceback_str

    def __str__(self) -> str:
        said = "System error: " if isinstance(self.client_exc, BaseException) else ""
        trace = f"\ntraceback: {self.traceback_str}" if said and self.traceback_str else ""
        return f"{said}{self.client_exc}{trace}"


class NoClusterError(RaySystemError, ConnectionError):
    """There is no cluster to join."""


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
    """The task was cancelled, by `cancel` or by the Stop button.

    Attributes:
        task_id: of the cancelled task, where that is known.
        error_message: what there is to say beyond that.
    """

    def __init__(self, task_id: Any = None, error_message: str | None = None) -> None:
        if isinstance(task_id, str) and error_message is None:
            task_id, error_message = None, task_id  # as nbray makes it: of a text alone
        self.task_id = task_id
        self.error_message = error_message

    def __str__(self) -> str:
        said = f"Task: {self.task_id} was cancelled. " if self.task_id is not None else ""
        return said + (self.error_message or "")


class Told(RayError):
    """An error with a text of its own, which is said where none is given."""
    default = ""

    def __init__(self, error_message: str | None = None) -> None:
        self.error_message = error_message

    def __str__(self) -> str:
        return self.default if self.error_message is None else str(self.error_message)


class TaskUnschedulableError(Told):
    """No node of the cluster can ever satisfy the task's resources."""


class WorkerCrashedError(RayError):
    """The worker process died while it ran the task."""

    def __str__(self) -> str:
        return super().__str__() or "The worker died unexpectedly while executing this task."


class OutOfMemoryError(WorkerCrashedError):
    """The worker was killed because its machine ran out of memory."""


class RayActorError(RayError):
    """An actor's method could not be run.

    Attributes:
        actor_id: the actor, as hexadecimal digits, where it is known.
        error_msg: the text.
        actor_init_failed: whether its constructor raised.
        preempted: whether its node was taken away; False here.
    """

    BASE_ERROR_MSG = "the actor failed before it had finished this task"
    actor_id: str | None = None
    error_msg: str = BASE_ERROR_MSG
    actor_init_failed: bool = False
    preempted: bool = False

    def __init__(
        self, actor_id: str | None = None, error_msg: str | None = None,
        actor_init_failed: bool = False, preempted: bool = False,
    ) -> None:  # fmt: skip
        if error_msg is None and actor_id is not None:
            actor_id, error_msg = None, actor_id  # as nbray makes it: of a text alone
        self.actor_id = actor_id
        self.error_msg = self.BASE_ERROR_MSG if error_msg is None else error_msg
        self.actor_init_failed = actor_init_failed
        self.preempted = preempted

    def __str__(self) -> str:
        return str(self.error_msg)


class ActorDiedError(RayActorError):
    """The actor is dead and will not come back."""

    BASE_ERROR_MSG = "the actor died unexpectedly before it had finished this task"

    def __init__(self, cause: Any = None) -> None:
        """*cause*: None, a text, or the `RayTaskError` that its constructor raised."""
        failed = isinstance(cause, RayTaskError)
        text = f"the actor died because of an error raised in its creation task: {cause}"
        super().__init__(None, text if failed else cause, failed)


class ActorUnschedulableError(ActorDiedError):
    """No node of the cluster can ever hold the actor."""


class ActorUnavailableError(RayActorError):
    """The actor is restarting; the call was not run, or its outcome is unknown."""

    def __init__(self, error_message: str = "", actor_id: bytes | str | None = None) -> None:
        name = actor_id.hex() if isinstance(actor_id, bytes) else actor_id
        super().__init__(name, error_message)


class GetTimeoutError(RayError, TimeoutError):
    """`get` ran out of time before the value was ready."""


class ObjectLostError(RayError):
    """The object's value is gone from every node that held it.

    Attributes:
        object_ref_hex, owner_address, call_site: as they were given.
    """

    def __init__(
        self, object_ref_hex: str = "", owner_address: bytes | None = None, call_site: str = ""
    ) -> None:
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site

    def __str__(self) -> str:
        return str(self.object_ref_hex)


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


class ObjectRefStreamEndOfStreamError(RayError):
    """The generator task has ended: it has no further returns."""


class UnserializableException(RayError):
    """Stands in for a user's exception that could not be pickled; carries its text."""


class RuntimeEnvSetupError(Told):
    """A runtime environment could not be made."""

    default = "Failed to set up runtime environment."

    def __str__(self) -> str:
        return self.default + (f"\n{self.error_message}" if self.error_message else "")


class TaskPlacementGroupRemoved(Told):
    """The placement group in which the task was to run has been removed."""

    default = "The placement group corresponding to this task has been removed."


class ActorPlacementGroupRemoved(Told):
    """The placement group in which the actor lived has been removed."""

    default = "The placement group corresponding to this Actor has been removed."


class ActorAlreadyExistsError(Told, ValueError):
    """The name of an actor is taken."""


class ActorHandleNotFoundError(Told, ValueError):
    """A handle is of an actor of another cluster than the one in use."""


def __getattr__(name: str) -> Any:
    """Ray's classes that nothing raises here, loaded when they are asked for."""
    if not name.startswith("__"):  # what each `from nbray.exceptions import ...` looks for
        from nbray import unraised_exceptions

        if name in unraised_exceptions.__all__:
            return unraised_exceptions.__dict__[name]
    raise AttributeError(f"module 'nbray.exceptions' has no attribute {name!r}")


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
        node, pid: where it ran; `ip` is Ray's name for the former.
        proctitle: what its process is called, by Ray's form.
        actor_repr: the actor whose method it was, if the error was made with it.
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
    actor_repr = _Field()
    _actor_id = _Field()
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
        frames: bytes | str = b"",
        actor_repr: str | None = None,
        actor_id: str | None = None,
        *,
        ip: str | None = None,
        proctitle: str | None = None,
    ) -> None:
        """As Ray makes one, too: there *node* is `proctitle`, and *frames* is `ip`."""
        super().__init__(function_name, traceback_str, cause, node, pid, frames)
        if isinstance(frames, str) or ip is not None or proctitle is not None:
            node, frames = (frames if isinstance(frames, str) else ip) or "", b""
        self._tell(function_name, traceback_str, cause, node, pid or 0, frames)
        self.actor_repr = actor_repr
        self._actor_id = actor_id

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

    @property
    def ip(self) -> str:
        """The node on which it ran."""
        return str(self.node)

    @property
    def proctitle(self) -> str:
        """What a process is called that runs this, by Ray's form."""
        return f"ray::{self.function_name}"

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

        Where nothing can be both (a class of C code that is final) it is the user's own
        exception, caused by this one. A `SystemExit`, which would end the process that gets it,
        and a group with members that are no `Exception`, stay a plain `RayTaskError`.
        """
        cause: BaseException = self.cause
        if isinstance(cause, RayTaskError):
            return cause
        if type(cause) in (RayError, UnserializableException):
            return self  # which is one already, or knows no more than a text
        try:
            return self.make_dual_exception_instance()
        except TypeError:
            if not isinstance(cause, Exception):
                return self
            self.__cause__ = cause.__cause__
            BaseException.__setattr__(cause, "__cause__", self)
            return BaseException.with_traceback(cause, None)

    def make_dual_exception_instance(self) -> RayTaskError:
        """An instance of both this class and that of `cause`; of a `KeyboardInterrupt`, which ends
        a task as cancelling does, one of `TaskCancelledError`.

        Raises:
            TypeError: nothing can be both, or whoever got it would end.
        """
        cause: BaseException = self.cause
        if isinstance(cause, KeyboardInterrupt):
            like_what: BaseException = TaskCancelledError(f"{self.function_name} was interrupted")
        elif isinstance(cause, SystemExit):
            raise TypeError(f"a {type(cause).__name__} would end whoever gets it")
        else:
            like_what = cause
        from nbray.exceptional import like  # once a task has failed

        kind: Any = type(like_what)
        error = like(_dual_class(kind), like_what)
        assert isinstance(error, RayTaskError)
        error._tell(
            self.function_name, self.traceback_str, like_what, self.node, self.pid, self.frames
        )
        return error


def on_behalf(error: E) -> E:
    """Mark *error*, which nbray raises of what the user's code did: it is told without our frames.

    (See `nbray.wire.failures.pack_error`.)
    """
    error.__dict__["_nbray_brief"] = True
    return error


def ends_actor(error: SystemExit) -> SystemExit:
    """Mark *error*: the actor whose method raises it is to end, and not to be made again."""
    error.__dict__["_nbray_ends_actor"] = True
    return error


def is_end_of_actor(error: BaseException) -> bool:
    """Whether `ends_actor` has marked it."""
    return "_nbray_ends_actor" in vars(error)


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
