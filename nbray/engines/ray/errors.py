"""Errors: what a task's process hands to Ray, and what whoever asks for the value meets.

Owns the two errors of the trampoline and the translation of Ray's own into nbray's, each with a
sentence. Does not own their classes (`nbray.exceptions`).
"""

from __future__ import annotations

import re
from typing import Any

from ray import exceptions as theirs

from nbray import exceptions as ours
from nbray.wire.failures import pack_error, passed_on, unpack_error


class Failed(Exception):
    """A task's end: an error of nbray's, packed; not to be tried again."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data

    def __str__(self) -> str:
        return str(unpack_error(self.data))

    def __reduce__(self) -> Any:
        return type(self), (self.data,)


class Retry(Failed):
    """The same, to be tried again while Ray's count of it allows."""


class Cancelled(Failed):
    """The same, of a call that was interrupted because somebody had cancelled it."""


TO_RETRY = [Retry]


_COLOURS = re.compile("\x1b\\[[0-9;]*m")


_KINDS: tuple[tuple[str, type[BaseException]], ...] = (
    ("TaskCancelledError", ours.TaskCancelledError),
    ("OutOfMemoryError", ours.OutOfMemoryError),
    ("WorkerCrashedError", ours.WorkerCrashedError),
    ("LocalRayletDiedError", ours.NodeDiedError),
    ("NodeDiedError", ours.NodeDiedError),
    ("ActorUnschedulableError", ours.ActorUnschedulableError),
    ("TaskUnschedulableError", ours.TaskUnschedulableError),
    ("ActorDiedError", ours.ActorDiedError),
    ("ActorUnavailableError", ours.ActorUnavailableError),
    ("RayActorError", ours.RayActorError),
    ("ObjectStoreFullError", ours.ObjectStoreFullError),
    ("OutOfDiskError", ours.ObjectStoreFullError),
    ("OwnerDiedError", ours.OwnerDiedError),
    ("ObjectFreedError", ours.ObjectFreedError),
    ("ObjectLostError", ours.ObjectLostError),
    ("ObjectRefStreamEndOfStreamError", ours.ObjectRefStreamEndOfStreamError),
    ("RuntimeEnvSetupError", ours.RuntimeEnvSetupError),
    ("TaskPlacementGroupRemoved", ours.TaskPlacementGroupRemoved),
    ("ActorPlacementGroupRemoved", ours.ActorPlacementGroupRemoved),
    ("PendingCallsLimitExceeded", ours.PendingCallsLimitExceeded),
    ("GetTimeoutError", ours.GetTimeoutError),
    ("ActorAlreadyExistsError", ours.ActorAlreadyExistsError),
    ("ActorHandleNotFoundError", ours.ActorHandleNotFoundError),
)
"""Ray's classes by name, for a release may lack one; the first that fits counts."""


def translated(error: BaseException) -> BaseException:
    """nbray's error for Ray's; an error that is not Ray's comes back as it is."""
    passing = ""
    while isinstance(error, theirs.RayTaskError):
        cause = error.cause
        if isinstance(cause, Failed):
            return unpack_error(cause.data)
        if not isinstance(cause, BaseException) or cause is error:
            break
        if not isinstance(cause, theirs.RayError):
            return _unexpected(error, cause)
        passing = getattr(error, "function_name", "") or "a task"
        error = cause
    if isinstance(error, Failed):
        return unpack_error(error.data)
    if isinstance(error, KeyboardInterrupt) or not isinstance(error, theirs.RayError):
        return error
    text = _COLOURS.sub("", str(error))
    for name, kind in _KINDS:
        known = getattr(theirs, name, None)
        if known is not None and isinstance(error, known):
            made: BaseException = kind(text)
            if isinstance(made, ours.RayActorError):
                made.actor_id = getattr(error, "actor_id", None)
                made.actor_init_failed = bool(getattr(error, "actor_init_failed", False))
            break
    else:
        made = ours.RaySystemError(text)
    return unpack_error(passed_on(pack_error(made, "", "", 0), passing)) if passing else made


def _unexpected(error: Any, cause: BaseException) -> BaseException:
    """What Ray's worker raised around the trampoline, or a task of Ray's own libraries."""
    if isinstance(cause, ModuleNotFoundError) and (cause.name or "").partition(".")[0] == "nbray":
        return ours.RaySystemError(
            "a node of the Ray cluster cannot import nbray: install the same version there "
            "(pip install nbray), or send it along with "
            "nbray.init(runtime_env={'py_modules': [nbray]})"
        )
    text = getattr(error, "traceback_str", "") or str(cause)
    name = getattr(error, "function_name", "") or "a task"
    return ours.RayTaskError(name, text, cause).as_instanceof_cause()
