"""The tree of errors: who catches whom."""

from __future__ import annotations

import pytest
from api import ray

ANCESTORS = {
    "ActorAlreadyExistsError": "Exception RayError ValueError",
    "ActorDiedError": "Exception RayActorError RayError",
    "ActorHandleNotFoundError": "Exception RayError ValueError",
    "ActorPlacementGroupRemoved": "Exception RayError",
    "ActorUnavailableError": "Exception RayActorError RayError",
    "ActorUnschedulableError": "Exception RayError",
    "AsyncioActorExit": "Exception RayError",
    "AuthenticationError": "Exception RayError",
    "CrossLanguageError": "Exception RayError",
    "GetTimeoutError": "Exception OSError RayError TimeoutError",
    "LocalRayletDiedError": "Exception RayError",
    "NodeDiedError": "Exception RayError",
    "ObjectFetchTimedOutError": "Exception ObjectLostError RayError",
    "ObjectFreedError": "Exception ObjectLostError RayError",
    "ObjectLostError": "Exception RayError",
    "ObjectReconstructionFailedError": "Exception ObjectLostError RayError",
    "ObjectRefStreamEndOfStreamError": "Exception RayError",
    "ObjectStoreFullError": "Exception RayError",
    "OufOfBandObjectRefSerializationException": "Exception RayError",
    "OutOfDiskError": "Exception RayError",
    "OutOfMemoryError": "Exception RayError",
    "OwnerDiedError": "Exception ObjectLostError RayError",
    "PendingCallsLimitExceeded": "Exception RayError",
    "PlasmaObjectNotAvailable": "Exception RayError",
    "RayActorError": "Exception RayError",
    "RayCgraphCapacityExceeded": "Exception RayError RaySystemError",
    "RayChannelError": "Exception RayError RaySystemError",
    "RayChannelTimeoutError": "RayChannelError RayError RaySystemError TimeoutError",
    "RayDirectTransportError": "Exception RayError RaySystemError",
    "RayError": "Exception",
    "RaySystemError": "Exception RayError",
    "RayTaskError": "Exception RayError",
    "ReferenceCountingAssertionError": "AssertionError Exception ObjectLostError RayError",
    "RpcError": "Exception RayError",
    "RuntimeEnvSetupError": "Exception RayError",
    "StreamingGeneratorReplayInconsistentError": "Exception RayError RaySystemError",
    "TaskCancelledError": "Exception RayError",
    "TaskPlacementGroupRemoved": "Exception RayError",
    "TaskUnschedulableError": "Exception RayError",
    "UnserializableException": "Exception RayError",
    "UserCodeException": "Exception RayError",
    "WorkerCrashedError": "Exception RayError",
}
"""All that a class is caught by, but for `BaseException` and `object`."""


@pytest.mark.parametrize("name", ANCESTORS)
def test_what_catches_it(name):
    kind = getattr(ray.exceptions, name)
    assert kind.__name__ == name
    caught_by = {base.__name__ for base in kind.__mro__[1:]} - {"BaseException", "object"}
    assert set(ANCESTORS[name].split()) <= caught_by
