"""Ray's classes of errors: which are which, what they say of themselves, what tasks raise."""

from __future__ import annotations

import os
import time
from asyncio import CancelledError

import pytest
from api import ray

errors = ray.exceptions

TREE = [
    ("RayTaskError", "RayError"), ("TaskCancelledError", "RayError"),
    ("WorkerCrashedError", "RayError"), ("OutOfMemoryError", "RayError"),
    ("ActorDiedError", "RayActorError"), ("ActorUnavailableError", "RayActorError"),
    ("ActorUnschedulableError", "RayError"), ("TaskUnschedulableError", "RayError"),
    ("GetTimeoutError", "RayError"), ("ObjectLostError", "RayError"),
    ("OwnerDiedError", "ObjectLostError"), ("ObjectFreedError", "ObjectLostError"),
    ("ObjectFetchTimedOutError", "ObjectLostError"),
    ("ObjectReconstructionFailedError", "ObjectLostError"),
    ("ReferenceCountingAssertionError", "ObjectLostError"), ("OutOfDiskError", "RayError"),
    ("ObjectStoreFullError", "RayError"), ("NodeDiedError", "RayError"),
    ("LocalRayletDiedError", "RayError"), ("RuntimeEnvSetupError", "RayError"),
    ("PendingCallsLimitExceeded", "RayError"), ("TaskPlacementGroupRemoved", "RayError"),
    ("ActorPlacementGroupRemoved", "RayError"), ("UnserializableException", "RayError"),
    ("CrossLanguageError", "RayError"), ("AsyncioActorExit", "RayError"),
    ("PlasmaObjectNotAvailable", "RayError"), ("RaySystemError", "RayError"),
    ("RayChannelError", "RaySystemError"), ("RayChannelTimeoutError", "RayChannelError"),
    ("RayCgraphCapacityExceeded", "RaySystemError"), ("AuthenticationError", "RayError"),
    ("OufOfBandObjectRefSerializationException", "RayError"), ("RpcError", "RayError"),
    ("ObjectRefStreamEndOfStreamError", "RayError"), ("UserCodeException", "RayError"),
    ("ActorAlreadyExistsError", "RayError"), ("ActorHandleNotFoundError", "RayError"),
    ("StreamingGeneratorReplayInconsistentError", "RaySystemError"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "base"), TREE)
def test_the_tree(name, base):
    kind = getattr(errors, name)
    assert issubclass(kind, getattr(errors, base))
    assert kind.__name__ == name


def test_errors_that_are_pythons_as_well():
    assert issubclass(errors.GetTimeoutError, TimeoutError)
    assert issubclass(errors.ActorAlreadyExistsError, ValueError)
    assert issubclass(errors.ActorHandleNotFoundError, ValueError)
    assert issubclass(errors.ReferenceCountingAssertionError, AssertionError)
    assert errors.RayError in errors.RAY_EXCEPTION_TYPES


def test_errors_that_programs_make():
    assert errors.TaskCancelledError().task_id is None
    assert errors.TaskUnschedulableError("no").error_message == "no"
    assert errors.RuntimeEnvSetupError("pip").error_message == "pip"
    died = errors.ActorDiedError()
    assert (died.actor_id, died.actor_init_failed, died.preempted) == (None, False, False)
    made = errors.RayActorError("0a", "gone", True)
    assert (made.actor_id, str(made), made.actor_init_failed) == ("0a", "gone", True)


def test_a_task_error_that_programs_make():
    cause = ValueError(3)
    error = errors.RayTaskError("f", "Traceback (most recent call last):\nValueError: 3", cause)
    for dual in (error.as_instanceof_cause(), error.make_dual_exception_instance()):
        assert isinstance(dual, ValueError)
        assert isinstance(dual, errors.RayTaskError)
        assert dual.cause is cause
        assert type(dual).__name__ == "RayTaskError(ValueError)"
    assert error.function_name == "f"


def raised(raising):
    @ray.remote(max_retries=0)
    def task():
        raising()

    with pytest.raises(errors.RayError) as caught:
        ray.get(task.remote(), timeout=60)
    return caught.value


@pytest.mark.concurrent
def test_what_a_task_raises_of_rays_own_is_a_task_error_too():
    def late():
        @ray.remote
        def never():
            time.sleep(60)

        ref = never.options(num_cpus=0).remote()
        try:
            ray.get(ref, timeout=0.05)
        finally:
            ray.cancel(ref, force=True)

    error = raised(late)
    assert isinstance(error, errors.GetTimeoutError)
    assert isinstance(error, errors.RayTaskError)


@pytest.mark.concurrent
def test_a_keyboard_interrupt_in_a_task():
    def interrupt():
        raise KeyboardInterrupt

    error = raised(interrupt)
    assert isinstance(error, errors.TaskCancelledError)
    assert isinstance(error, errors.RayTaskError)


@pytest.mark.concurrent
@pytest.mark.parametrize("code", [0, 1])
def test_a_task_that_ends_its_process(code):
    assert type(raised(lambda: os._exit(code))) is errors.WorkerCrashedError


def test_a_group_of_errors():
    def several():
        raise ExceptionGroup("both", [ValueError(1), KeyError(2)])

    error = raised(several)
    assert isinstance(error, ExceptionGroup)
    assert isinstance(error, errors.RayTaskError)
    assert [type(one) for one in error.exceptions] == [ValueError, KeyError]


KINDS = {
    "memory": MemoryError("m"), "generator": GeneratorExit(), "coroutine": CancelledError("c"),
    "iteration": StopIteration(3), "recursion": RecursionError("r"), "warning": UserWarning("w"),
    "group": ExceptionGroup("g", [ExceptionGroup("h", [ValueError("v")])]),
}  # fmt: skip


def raise_it(error):
    raise error[0]


def thrown(where, error, thrower):
    """What `get` raises of a task or method that raises *error*."""
    if where == "task":
        ref = ray.remote(max_retries=0)(raise_it).remote([error])
    else:
        ref = thrower.throw.remote([error])
    with pytest.raises(errors.RayTaskError) as caught:
        ray.get(ref, timeout=60)
    return caught


@pytest.mark.concurrent
@pytest.mark.parametrize("error", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("where", ["task", "method"])
def test_what_python_itself_has(where, error, thrower):
    caught = thrown(where, error, thrower)
    assert isinstance(caught.value, type(error))
    assert type(caught.value.cause) is type(error)
    assert type(caught.value).__name__ == f"RayTaskError({type(error).__name__})"


@pytest.mark.concurrent
@pytest.mark.parametrize("where", ["task", "method"])
def test_a_group_with_others_than_exceptions_is_the_cause(where, thrower):
    error = BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError("v")])
    caught = thrown(where, error, thrower)
    assert type(caught.value) is errors.RayTaskError
    assert type(caught.value.cause) is BaseExceptionGroup
    assert [type(one) for one in caught.value.cause.exceptions] == [KeyboardInterrupt, ValueError]


class Thrower:
    def throw(self, error):
        raise error[0]


@pytest.fixture(scope="module")
def thrower(engine):
    return ray.remote(num_cpus=0)(Thrower).remote()


class Actor:
    def __init__(self, fails=False):
        if fails:
            raise ValueError("no model")

    def die(self):
        os._exit(1)


@pytest.mark.concurrent
def test_what_the_error_says_of_a_dead_actor():
    actor = ray.remote(num_cpus=0)(Actor).remote()
    with pytest.raises(errors.ActorDiedError) as caught:
        ray.get(actor.die.remote(), timeout=60)
    assert caught.value.actor_id == actor._actor_id.hex()
    assert not caught.value.actor_init_failed


@pytest.mark.concurrent
def test_what_the_error_says_of_an_actor_that_was_never_made():
    actor = ray.remote(num_cpus=0)(Actor).remote(fails=True)
    with pytest.raises(errors.ActorDiedError, match="no model") as caught:
        ray.get(actor.die.remote(), timeout=60)
    assert caught.value.actor_init_failed


@pytest.mark.concurrent
def test_what_the_error_says_of_an_actor_that_restarts():
    actor = ray.remote(num_cpus=0, max_restarts=1)(Actor).remote()
    with pytest.raises(errors.ActorUnavailableError, match="unavailable") as caught:
        ray.get(actor.die.remote(), timeout=60)
    assert caught.value.actor_id == actor._actor_id.hex()


def test_a_name_that_is_taken():
    kind = ray.remote(num_cpus=0)(Actor)
    keeps = kind.options(name="taken twice").remote()
    with pytest.raises(errors.ActorAlreadyExistsError, match="taken twice"):
        kind.options(name="taken twice").remote()
    del keeps
