"""Errors as results: both types, the user's line first, and no exception that breaks it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from nbray import exceptions
from nbray.exceptions import RayTaskError, UnserializableException
from nbray.wire import failures
from nbray.wire.failures import pack_error, unpack_error


def caught(call: Any, *args: Any) -> BaseException:
    try:
        call(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def divide(x: int) -> float:
    return 1 / x


def travel(error: BaseException, name: str = "f") -> Exception:
    return unpack_error(pack_error(error, name, "node-1", 42))


def test_the_error_is_of_both_types_and_says_where() -> None:
    error = travel(caught(divide, 0), "divide")
    assert isinstance(error, RayTaskError)
    assert isinstance(error, ZeroDivisionError)
    assert (error.function_name, error.node, error.pid) == ("divide", "node-1", 42)
    lines = error.traceback_str.splitlines()
    assert lines[0].startswith(__file__)
    assert lines[0].endswith("in divide")
    assert lines[1].strip() == "return 1 / x"
    assert lines[2] == "    where x = 0"
    assert lines[3] == "ZeroDivisionError: division by zero"
    assert "Traceback (most recent call last)" in error.traceback_str


def test_the_users_line_is_first_even_below_a_library() -> None:
    error = travel(caught(lambda: __import__("json").loads("{")))
    lines = error.traceback_str.splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith(__file__)
    assert "json" in error.traceback_str  # type: ignore[attr-defined]


def test_own_frames_are_left_out() -> None:
    code = compile("def run(f): return f(0)", failures.__file__, "exec")
    scope: dict[str, Any] = {}
    exec(code, scope)
    error = travel(caught(scope["run"], divide))
    assert failures.__file__ not in error.traceback_str  # type: ignore[attr-defined]
    # An error of nbray's own making keeps its frames: there is nothing else to read.
    own = travel(_stripped(caught(scope["run"], 5)))
    assert failures.__file__ in own.traceback_str  # type: ignore[attr-defined]


def _stripped(error: BaseException) -> BaseException:
    assert error.__traceback__ is not None
    return error.with_traceback(error.__traceback__.tb_next)


def test_causes_and_groups_are_shown() -> None:
    def outer() -> None:
        try:
            divide(0)
        except ZeroDivisionError as error:
            raise ValueError("bad input") from error

    error = travel(caught(outer))
    assert isinstance(error, ValueError)
    assert "ZeroDivisionError" in error.traceback_str  # type: ignore[attr-defined]
    group = travel(ExceptionGroup("many", [ValueError("a"), KeyError("b")]))
    assert "KeyError" in group.traceback_str  # type: ignore[attr-defined]


class Picky(Exception):
    """Its signature breaks unpickling, as so many do."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    def __reduce__(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize("error", [Locked(), Mute()], ids=lambda value: type(value).__name__)
def test_exceptions_that_cannot_be_pickled_whole_survive(error: Exception) -> None:
    back = travel(error)
    assert isinstance(back, RayTaskError)
    assert isinstance(back, type(error))
    assert type(error).__name__ in back.traceback_str


def test_a_class_that_cannot_be_pickled_keeps_name_and_text() -> None:
    class Here(Exception):
        lock = threading.Lock()

    back = travel(Here("text"))
    assert type(back) is RayTaskError
    assert isinstance(back.cause, UnserializableException)
    assert "Here: text" in str(back.cause)


def test_an_exception_whose_init_takes_something_else_survives() -> None:
    error = Picky(3, reason="why")
    back = travel(error)
    assert isinstance(back, Picky)
    assert isinstance(back.cause, Picky)  # type: ignore[attr-defined]
    assert (back.code, str(back.cause)) == (3, "3: why")  # type: ignore[attr-defined]
    again = travel(back)
    assert isinstance(again, Picky)


def test_a_cause_unknown_here_keeps_its_text() -> None:
    module_gone = b"\x80\x05cno_such_module\nGone\n)R."
    data = failures.pickle.dumps(("f", "text", module_gone, "Gone: why", "n", 1, b""))
    back = unpack_error(data)
    assert isinstance(back, RayTaskError)
    assert str(back.cause) == "Gone: why"


def test_attributes_of_the_exception_survive() -> None:
    error = ValueError("x")
    error.code = 5  # type: ignore[attr-defined]
    back = travel(error)
    assert back.code == 5  # type: ignore[attr-defined]
    assert back.args == ("x",)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_errors_that_are_not_exceptions_become_task_errors(kind: type[BaseException]) -> None:
    back = travel(kind("bye"))
    assert isinstance(back, RayTaskError)
    assert not isinstance(back, kind)
    assert isinstance(back, exceptions.TaskCancelledError) == (kind is KeyboardInterrupt)
    cancelled = exceptions.TaskCancelledError
    assert type(back.cause) is (cancelled if kind is KeyboardInterrupt else kind)


@pytest.mark.parametrize("kind", [GeneratorExit, asyncio.CancelledError])
def test_others_are_both_as_in_ray(kind: type[BaseException]) -> None:
    back = travel(kind("bye"))
    assert isinstance(back, RayTaskError)
    assert isinstance(back, kind)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.TaskCancelledError("stopped"),
        exceptions.ActorDiedError("gone"),
        exceptions.GetTimeoutError("late"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nbrays_own_errors_travel_as_they_are(error: Exception) -> None:
    back = travel(error)
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_nbrays_own_error_of_an_argument_is_an_error_of_the_task_that_takes_it() -> None:
    crashed = pack_error(exceptions.WorkerCrashedError("f: it exited"), "", "", 0)
    passed = failures.passed_on(crashed, "g")
    error = unpack_error(passed)
    assert isinstance(error, RayTaskError)
    assert isinstance(error, exceptions.WorkerCrashedError)
    assert str(error).endswith("WorkerCrashedError: f: it exited")
    assert (error.function_name, type(error.cause)) == ("g", exceptions.WorkerCrashedError)
    assert failures.passed_on(passed, "h") == passed


def test_a_nested_failure_keeps_cause_and_chain() -> None:
    inner = travel(caught(divide, 0), "divide")

    def outer() -> None:
        raise inner

    back = travel(caught(outer), "outer")
    assert isinstance(back, ZeroDivisionError)
    assert isinstance(back, RayTaskError)
    assert type(back.cause) is ZeroDivisionError
    assert back.function_name == "outer"
    lines = back.traceback_str.splitlines()
    assert lines[1].strip() == "return 1 / x"
    assert "raised in divide (node node-1, pid 42); outer got it here:" in back.traceback_str
    assert "raise inner" in back.traceback_str
    again = travel(caught(lambda: (_ for _ in ()).throw(back)), "third")
    assert type(again.cause) is ZeroDivisionError  # type: ignore[attr-defined]
    assert "third got it here" in again.traceback_str  # type: ignore[attr-defined]


def test_a_deep_recursion_travels() -> None:
    def down(n: int) -> int:
        return down(n + 1)

    back = travel(caught(down, 0))
    assert isinstance(back, RecursionError)


def test_code_without_source_still_names_the_line() -> None:
    scope: dict[str, Any] = {}
    exec(compile("\n\ndef f(): return {}['key']", "gone/cell.py", "exec"), scope)
    back = travel(caught(scope["f"]))
    assert back.traceback_str.splitlines()[0].endswith("cell.py, line 3, in f")  # type: ignore[attr-defined]


class Trap(Exception):
    """Raises something of its own when Python's traceback looks for what it lacks."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_an_error_that_cannot_be_looked_at_keeps_its_class() -> None:
    error = travel(caught(_raise, Trap("odd", 1)))
    assert isinstance(error, Trap)
    assert isinstance(error, RayTaskError)
    assert error.args == ("odd", 1)


def _raise(error: BaseException) -> None:
    raise error
