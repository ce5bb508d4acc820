"""Errors: what a failing task raises, how it travels, what is refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time

import pytest
from api import ray

RayError, RayTaskError = ray.exceptions.RayError, ray.exceptions.RayTaskError


def failing(error):
    """The reference of a task that raises *error*."""

    @ray.remote
    def fail():
        raise error

    return fail.remote()


def test_the_error_is_the_users_type_and_a_task_error():
    with pytest.raises(ZeroDivisionError) as caught:
        ray.get(ray.remote(lambda: 1 / 0).remote())
    assert isinstance(caught.value, RayTaskError)
    assert isinstance(caught.value, RayError)
    assert isinstance(caught.value.cause, ZeroDivisionError)
    with pytest.raises(RayTaskError):
        ray.get(ray.remote(lambda: 1 / 0).remote())


def test_an_error_that_cannot_say_its_text_is_still_an_error_and_its_worker_lives():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    @ray.remote(max_retries=0)
    def fail():
        raise Mute

    @ray.remote(num_cpus=1)
    class Holder:
        def fail(self):
            raise Mute

        def fine(self):
            return 1

    for _ in range(3):
        with pytest.raises(RayTaskError):
            ray.get(fail.remote())
    holder = Holder.remote()
    with pytest.raises(RayTaskError):
        ray.get(holder.fail.remote())
    assert ray.get(holder.fine.remote()) == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("v"),
        KeyError("k"),
        OSError(2, "No such file", "x.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        StopIteration(3),
        AssertionError(),
        TimeoutError("t"),
        NotImplementedError("n"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_builtin_errors(error):
    with pytest.raises(type(error)) as caught:
        ray.get(failing(error))
    assert isinstance(caught.value, RayTaskError)
    assert caught.value.cause.args == error.args


def test_the_message_starts_with_the_users_line():
    @ray.remote
    def divide(a, b):
        return a / b  # the guilty line

    with pytest.raises(ZeroDivisionError) as caught:
        ray.get(divide.remote(1, 0))
    lines = str(caught.value).splitlines()
    assert "divide" in lines[0]
    assert os.path.basename(__file__) in lines[1]  # noqa: PTH119 - a name in a text
    assert "the guilty line" in lines[2]
    assert [line.strip() for line in lines[3:5]] == ["where a = 1", "where b = 0"]
    assert "ZeroDivisionError" in lines[5]
    assert "nbray/engines" not in str(caught.value)
    assert "nbray/runtime" not in str(caught.value)


def test_the_error_says_where_it_happened():
    with pytest.raises(ValueError) as caught:
        ray.get(failing(ValueError("x")))
    assert caught.value.function_name.endswith("fail")
    assert caught.value.pid > 0
    assert "ValueError: x" in caught.value.traceback_str


def test_an_error_class_of_the_users_own():
    class MyError(Exception):
        def __init__(self, code):
            super().__init__(f"code {code}")
            self.code = code

    @ray.remote
    def fail():
        raise MyError(7)

    with pytest.raises(MyError) as caught:
        ray.get(fail.remote())
    assert caught.value.code == 7
    assert "code 7" in str(caught.value)


def test_a_derived_error_class_is_caught_by_its_base():
    class Base(ValueError):
        pass

    class Derived(Base):
        pass

    with pytest.raises(Base):
        ray.get(failing(Derived("d")))


def test_an_error_raised_from_another():
    @ray.remote
    def fail():
        try:
            {}["missing"]
        except KeyError as error:
            raise RuntimeError("outer") from error

    with pytest.raises(RuntimeError) as caught:
        ray.get(fail.remote())
    assert "missing" in str(caught.value)


def test_each_get_raises_anew():
    ref = failing(ValueError("x"))
    errors = []
    for _ in range(2):
        with pytest.raises(ValueError) as caught:
            ray.get(ref)
        errors.append(caught.value)
    assert errors[0] is not errors[1]


def test_the_error_can_be_pickled():
    with pytest.raises(ValueError) as caught:
        ray.get(failing(ValueError("x")))
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, ValueError)
    assert isinstance(again, RayTaskError)
    assert str(again) == str(caught.value)


def test_an_error_passes_through_dependent_tasks_with_its_type():
    @ray.remote
    def pass_on(x):
        return x

    ref = failing(LookupError("source"))
    for _ in range(3):
        ref = pass_on.remote(ref)
    with pytest.raises(LookupError, match="source"):
        ray.get(ref)


def test_a_dependent_task_does_not_run(tmp_path):
    marker = tmp_path / "ran"

    @ray.remote
    def touch(x):
        marker.touch()

    with pytest.raises(ValueError):
        ray.get(touch.remote(failing(ValueError())))
    assert not marker.exists()


def test_an_error_passes_through_nested_tasks_with_its_type():
    @ray.remote
    def inner():
        raise KeyError("inner")

    @ray.remote
    def outer():
        return ray.get(inner.remote())

    with pytest.raises(KeyError, match="inner") as caught:
        ray.get(outer.remote())
    assert "in inner" in str(caught.value)


def test_a_task_can_catch_the_error_of_another():
    @ray.remote
    def inner():
        raise KeyError("inner")

    @ray.remote
    def outer():
        try:
            return ray.get(inner.remote())
        except KeyError:
            return "caught"

    assert ray.get(outer.remote()) == "caught"


def test_the_first_failing_reference_raises():
    refs = [ray.put(1), failing(KeyError("first")), failing(ValueError("second"))]
    ray.wait(refs, num_returns=3)
    with pytest.raises(KeyError):
        ray.get(refs)


def test_every_return_of_a_failed_task_raises():
    @ray.remote(num_returns=2)
    def fail():
        raise ValueError("both")

    for ref in fail.remote():
        with pytest.raises(ValueError, match="both"):
            ray.get(ref)


@pytest.mark.parametrize("result", [(1, 2), (1, 2, 3, 4)], ids=str)
def test_a_wrong_number_of_returns(result):
    @ray.remote(num_returns=3)
    def three():
        return result

    with pytest.raises(ValueError, match="num_returns=3"):
        ray.get(three.remote())


def test_one_value_where_several_are_to_be_returned():
    @ray.remote(num_returns=2)
    def two():
        return 5

    with pytest.raises(TypeError) as caught:
        ray.get(two.remote())
    assert isinstance(caught.value, RayTaskError)


def test_an_error_can_be_returned_as_a_value():
    @ray.remote
    def give():
        return ValueError("just a value")

    assert isinstance(ray.get(give.remote()), ValueError)


# -- what cannot be pickled


def test_an_unpicklable_argument_is_refused_at_once():
    @ray.remote
    def use(a, b=None):
        return 1

    with pytest.raises(TypeError, match="argument"):
        use.remote(1, threading.Lock())
    with pytest.raises(TypeError, match="argument"):
        use.remote(1, b={"deep": [threading.Lock()]})
    assert ray.get(use.remote(1)) == 1


def test_an_unpicklable_capture_is_refused_at_once():
    lock = threading.Lock()

    @ray.remote
    def use():
        return lock

    with pytest.raises(TypeError, match="'lock'"):
        use.remote()


def test_an_unpicklable_result():
    @ray.remote
    def make():
        return threading.Lock()

    with pytest.raises(TypeError, match="pickle") as caught:
        ray.get(make.remote())
    assert isinstance(caught.value, RayTaskError)


def test_an_unpicklable_put():
    with pytest.raises(TypeError, match="lock"):
        ray.put(threading.Lock())


def test_an_unpicklable_argument_of_a_method_and_of_init():
    @ray.remote
    class Holder:
        def __init__(self, thing=None):
            self.thing = thing

        def hold(self, thing):
            self.thing = thing
            return "held"

    with pytest.raises(TypeError, match="argument"):
        Holder.remote(threading.Lock())
    holder = Holder.remote()
    with pytest.raises(TypeError, match="argument"):
        holder.hold.remote(threading.Lock())
    assert ray.get(holder.hold.remote(1)) == "held"


def test_an_exception_that_cannot_be_pickled():
    class Stubborn(Exception):
        def __init__(self):
            super().__init__("stubborn text")
            self.lock = threading.Lock()

    @ray.remote
    def fail():
        raise Stubborn

    with pytest.raises(RayTaskError, match="stubborn text") as caught:
        ray.get(fail.remote())
    assert isinstance(caught.value, Stubborn)
    assert not hasattr(caught.value, "lock")


def test_an_exception_whose_init_takes_other_arguments():
    class TwoArguments(Exception):
        def __init__(self, a, b):
            super().__init__(f"{a} and {b}")
            self.a = a

    @ray.remote
    def fail():
        raise TwoArguments("this", "that")

    with pytest.raises(TwoArguments, match="this and that") as caught:
        ray.get(fail.remote())
    assert isinstance(caught.value, RayTaskError)
    assert caught.value.a == "this"


def test_work_goes_on_after_every_kind_of_failure():
    @ray.remote
    def one():
        return 1

    for error in (ValueError(), KeyError("x"), StopIteration()):
        with pytest.raises(RayTaskError):
            ray.get(failing(error))
    assert ray.get([one.remote() for _ in range(20)]) == [1] * 20


# -- retries


@pytest.fixture
def attempts():
    """An actor that counts."""

    @ray.remote(num_cpus=0)
    class Attempts:
        def __init__(self):
            self.n = 0

        def next(self):
            self.n += 1
            return self.n

        def read(self):
            return self.n

    return Attempts.remote()


def test_retry_exceptions(attempts):
    @ray.remote(retry_exceptions=True, max_retries=3)
    def flaky():
        attempt = ray.get(attempts.next.remote())
        if attempt < 3:
            raise ValueError(attempt)
        return attempt

    assert ray.get(flaky.remote()) == 3


def test_retries_come_to_an_end(attempts):
    @ray.remote(retry_exceptions=True, max_retries=2)
    def fail():
        raise ValueError(ray.get(attempts.next.remote()))

    with pytest.raises(ValueError):
        ray.get(fail.remote())
    assert ray.get(attempts.read.remote()) == 3


def test_errors_are_not_retried_unless_asked_for(attempts):
    @ray.remote(max_retries=5)
    def fail():
        raise ValueError(ray.get(attempts.next.remote()))

    with pytest.raises(ValueError):
        ray.get(fail.remote())
    assert ray.get(attempts.read.remote()) == 1


def test_only_the_listed_errors_are_retried(attempts):
    @ray.remote(retry_exceptions=[KeyError], max_retries=5)
    def fail():
        if ray.get(attempts.next.remote()) < 3:
            raise KeyError
        raise ValueError("not listed")

    with pytest.raises(ValueError, match="not listed"):
        ray.get(fail.remote())
    assert ray.get(attempts.read.remote()) == 3


def test_retry_exceptions_must_be_exceptions():
    with pytest.raises(ValueError, match="retry_exceptions must be either"):
        ray.remote(retry_exceptions=[int])(lambda: 1)


def test_retries_of_an_actors_method():
    @ray.remote(max_task_retries=3)
    class Flaky:
        def __init__(self):
            self.n = 0

        @ray.method(retry_exceptions=True)
        def work(self):
            self.n += 1
            if self.n < 3:
                raise ValueError
            return self.n

    assert ray.get(Flaky.remote().work.remote()) == 3


def test_each_attempt_gets_its_own_arguments(tmp_path):
    @ray.remote(retry_exceptions=True)
    def grow(items):
        items.append(1)
        tried = len(list(tmp_path.iterdir()))
        (tmp_path / str(tried)).touch()
        if tried < 2:
            raise ValueError
        return items

    assert ray.get(grow.remote([])) == [1]


def test_sys_exit_in_a_task():
    @ray.remote(max_retries=0)
    def leave():
        sys.exit(3)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(leave.remote(), timeout=60)


# -- crashes


@pytest.mark.concurrent
def test_a_crashing_worker():
    @ray.remote(max_retries=0)
    def crash():
        os._exit(9)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(crash.remote(), timeout=60)


@pytest.mark.concurrent
def test_a_crash_is_retried(attempts):
    @ray.remote(max_retries=2)
    def crash_once():
        if ray.get(attempts.next.remote()) == 1:
            os._exit(9)
        return "second time"

    assert ray.get(crash_once.remote(), timeout=60) == "second time"


@pytest.mark.concurrent
def test_a_crash_takes_no_other_task_with_it():
    @ray.remote(max_retries=0)
    def work(i):
        time.sleep(0.01)
        if i == 20:
            os._exit(9)
        return i

    refs = [work.remote(i) for i in range(60)]
    lost = []
    for i, ref in enumerate(refs):
        try:
            assert ray.get(ref, timeout=60) == i
        except ray.exceptions.WorkerCrashedError:
            lost.append(i)
    assert lost == [20]


@pytest.mark.concurrent
def test_a_segmentation_fault_is_a_crash():
    @ray.remote(max_retries=0)
    def fault():
        import ctypes

        ctypes.string_at(0)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(fault.remote(), timeout=60)


# -- forks


@pytest.mark.own
def test_a_forked_child_is_refused():
    code = """
import os, sys
import nbray as ray
ray.init(engine={name!r}, num_cpus=1)
ref = ray.put(1)
pid = os.fork()
if pid == 0:
    try:
        ray.put(2)
    except ray.exceptions.RaySystemError as error:
        os._exit(42 if "fork" in str(error) and not ray.is_initialized() else 1)
    os._exit(2)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert ray.get(ref) == 1
ray.shutdown()
sys.exit(status)
"""
    name = ray.session.current().capabilities.name
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code.format(name=name)], timeout=150, check=False
    )
    assert done.returncode == 42
