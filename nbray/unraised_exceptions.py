"""Ray's error classes that nbray raises hardly ever (a full disk, lost objects), or never.

Owns these classes. Users have them from `nbray.exceptions`, which loads this when one is
asked for: `import nbray` needs none of them.
"""

from __future__ import annotations

from typing import Any

from nbray.exceptions import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorHandleNotFoundError,
    ActorPlacementGroupRemoved,
    ActorUnavailableError,
    ActorUnschedulableError,
    AuthenticationError,
    GetTimeoutError,
    ObjectLostError,
    ObjectStoreFullError,
    OwnerDiedError,
    PendingCallsLimitExceeded,
    RayActorError,
    RayError,
    RaySystemError,
    RayTaskError,
    RuntimeEnvSetupError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
    Told,
    UnserializableException,
    WorkerCrashedError,
)

__all__ = [
    "RAY_EXCEPTION_TYPES",
    "AsyncioActorExit",
    "CrossLanguageError",
    "LocalRayletDiedError",
    "ObjectFetchTimedOutError",
    "ObjectReconstructionFailedError",
    "ObjectReconstructionFailedLineageEvictedError",
    "ObjectReconstructionFailedMaxAttemptsExceededError",
    "OufOfBandObjectRefSerializationException",
    "OutOfDiskError",
    "PlasmaObjectNotAvailable",
    "RayCgraphCapacityExceeded",
    "RayChannelError",
    "RayChannelTimeoutError",
    "RayDirectTransportError",
    "ReferenceCountingAssertionError",
    "RpcError",
    "StreamingGeneratorReplayInconsistentError",
    "UserCodeException",
]


class LocalRayletDiedError(Told):
    """The node on which the task ran has died."""

    default = "the node on which the task ran has died"


class ObjectFetchTimedOutError(ObjectLostError):
    """The object was not brought in time from where it lies."""


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was gone while there was a reference to it."""


class ObjectReconstructionFailedError(ObjectLostError):
    """The object is lost, and cannot be made again."""

    def __init__(
        self, object_ref_hex: str = "", reason: Any = None, reason_message: str | None = None,
        owner_address: bytes | None = None, call_site: str = "",
    ) -> None:  # fmt: skip
        super().__init__(object_ref_hex, owner_address, call_site)
        self.reason = reason
        self.reason_message = reason_message

    def __str__(self) -> str:
        said = super().__str__()
        return f"{said} {self.reason_message}" if self.reason_message else said


class ObjectReconstructionFailedLineageEvictedError(ObjectReconstructionFailedError):
    """The object is lost, and so is its recipe: recipes had taken too many bytes."""


class ObjectReconstructionFailedMaxAttemptsExceededError(ObjectReconstructionFailedError):
    """The object is lost, and its task may not run once more."""


class OutOfDiskError(RayError):
    """The object store is full, and the disk has no room for what it does not hold."""


class CrossLanguageError(RayError):
    """Raised in another language than Python, of which nbray has none."""


class UserCodeException(RayError):
    """Marks what a user's function raised, for libraries that run such functions."""


class PlasmaObjectNotAvailable(RayError):
    """The object was not there within the time given."""


class AsyncioActorExit(RayError):
    """An asynchronous actor ends by `exit_actor`."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A streaming task that ran again yielded another number of items."""


class OufOfBandObjectRefSerializationException(RayError):
    """A reference was pickled by other means than nbray's own."""


class RpcError(RayError):
    """A message could not be delivered."""

    def __init__(self, message: str = "", rpc_code: int | None = None) -> None:
        self.message = message
        self.rpc_code = rpc_code

    def __str__(self) -> str:
        return self.message


class RayChannelError(RaySystemError):
    """A compiled graph has ended, and is run."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """A channel of a compiled graph did not answer in time; nbray compiles none."""


class RayCgraphCapacityExceeded(RaySystemError):
    """A compiled graph has too much in flight; nbray compiles none."""


class RayDirectTransportError(RaySystemError):
    """Tensors could not be sent directly; nbray sends none so."""


RAY_EXCEPTION_TYPES: list[type[RayError]] = [
    PlasmaObjectNotAvailable,
    RayError,
    RayTaskError,
    WorkerCrashedError,
    RayActorError,
    ObjectStoreFullError,
    ObjectLostError,
    ObjectFetchTimedOutError,
    ReferenceCountingAssertionError,
    ObjectReconstructionFailedError,
    OwnerDiedError,
    GetTimeoutError,
    AsyncioActorExit,
    RuntimeEnvSetupError,
    TaskPlacementGroupRemoved,
    ActorPlacementGroupRemoved,
    PendingCallsLimitExceeded,
    LocalRayletDiedError,
    TaskUnschedulableError,
    ActorDiedError,
    ActorUnschedulableError,
    ActorUnavailableError,
    RayChannelError,
    RayChannelTimeoutError,
    OufOfBandObjectRefSerializationException,
    RayCgraphCapacityExceeded,
    UnserializableException,
    ActorAlreadyExistsError,
    ActorHandleNotFoundError,
    AuthenticationError,
]
"""The classes that Ray lists as what its calls raise."""

for _kind in (globals()[name] for name in __all__ if name != "RAY_EXCEPTION_TYPES"):
    _kind.__module__ = "nbray.exceptions"  # where users have it from, and unpickle it
del _kind
