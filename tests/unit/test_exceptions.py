"""The error tree, and errors that are both ours and the user's."""

from __future__ import annotations

import pickle

import pytest

from nbray import exceptions
from nbray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)


def dual(cause):
    return RayTaskError("f", "file.py, line 1, in f", cause, "node", 7).as_instanceof_cause()


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, RayError) and kind is not RayTaskError
    ],
)
def test_every_error_is_a_ray_error_and_survives_pickling(kind):
    error = pickle.loads(pickle.dumps(kind("what happened")))
    assert type(error) is kind
    assert str(error) == str(kind("what happened"))
    assert str(error).splitlines()[-1] == "what happened"


def test_the_tree():
    assert issubclass(GetTimeoutError, TimeoutError)
    assert issubclass(ActorDiedError, RayActorError)
    assert issubclass(exceptions.OutOfMemoryError, WorkerCrashedError)
    assert issubclass(exceptions.AuthenticationError, exceptions.RaySystemError)


def test_a_dual_error_is_both():
    error = dual(KeyError("k"))
    assert isinstance(error, KeyError)
    assert isinstance(error, RayTaskError)
    assert type(error).__name__ == "RayTaskError(KeyError)"
    assert error.args == ("k",)


def test_its_text_names_function_node_and_process():
    assert str(dual(ValueError("v"))).splitlines()[0] == "f (node node, pid 7)"
    assert str(RayTaskError("f", "text", ValueError())) == "f\ntext"


def test_a_dual_error_keeps_the_users_attributes():
    class Coded(Exception):
        def __init__(self, code, *, hint):
            super().__init__(code, hint)
            self.code = code

    error = dual(Coded(5, hint="h"))
    assert error.code == 5
    assert isinstance(error, Coded)


def test_a_dual_error_survives_pickling():
    error = pickle.loads(pickle.dumps(dual(OSError(2, "gone"))))
    assert isinstance(error, OSError)
    assert error.cause.args == (2, "gone")
    assert str(error) == str(dual(OSError(2, "gone")))


def test_our_own_errors_that_a_task_raised_are_both_as_well():
    cancelled = RayTaskError("f", "t", TaskCancelledError("c")).as_instanceof_cause()
    assert isinstance(cancelled, RayTaskError)
    assert isinstance(cancelled, TaskCancelledError)
    inner = RayTaskError("inner", "t", ValueError())
    assert RayTaskError("outer", "t", inner).as_instanceof_cause() is inner


def test_a_cause_that_is_no_exception_stays_plain():
    assert type(dual(SystemExit(1))) is RayTaskError


def test_a_class_that_forbids_subclasses_is_caught_as_any_other():
    class Final(Exception):
        def __init_subclass__(cls):
            raise TypeError("no subclasses")

    assert isinstance(dual(Final()), Final)
    assert isinstance(dual(Final()), RayTaskError)


def test_the_same_class_is_made_once():
    assert type(dual(KeyError())) is type(dual(KeyError()))
