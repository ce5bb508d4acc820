"""Tasks: calls, arguments, returns, options, nesting."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import time

import pytest
from api import ray


def test_a_task_returns_its_value():
    @ray.remote
    def square(x):
        return x * x

    assert ray.get([square.remote(i) for i in range(4)]) == [0, 1, 4, 9]


def test_remote_returns_a_reference_at_once():
    @ray.remote
    def one():
        return 1

    ref = one.remote()
    assert isinstance(ref, ray.ObjectRef)
    assert ray.get(ref) == 1


def test_a_value_can_be_fetched_again_and_again():
    @ray.remote
    def make():
        return {"a": [1, 2]}

    ref = make.remote()
    first, second = ray.get(ref), ray.get(ref)
    assert first == second == {"a": [1, 2]}


def test_keyword_arguments_and_defaults():
    @ray.remote
    def show(a, b=2, *rest, c=3, **more):
        return a, b, rest, c, more

    assert ray.get(show.remote(1)) == (1, 2, (), 3, {})
    assert ray.get(show.remote(1, c=5, d=6)) == (1, 2, (), 5, {"d": 6})
    assert ray.get(show.remote(1, 7, 8, 9)) == (1, 7, (8, 9), 3, {})
    assert ray.get(show.remote(b=1, a=2)) == (2, 1, (), 3, {})


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [((), {}, "missing a required argument: 'a'"), ((1, 2, 3), {}, "too many positional"),
     ((1,), {"c": 2}, "unexpected keyword argument 'c'"), ((1,), {"a": 2}, "multiple values")],
)  # fmt: skip
def test_a_call_that_does_not_fit_is_refused_at_once(args, kwargs, says):
    @ray.remote
    def two(a, b=0):
        return a

    with pytest.raises(TypeError, match=says):
        two.remote(*args, **kwargs)


def test_a_missing_keyword_only_argument_is_refused_at_once():
    @ray.remote
    def strict(a, *, key):
        return key

    with pytest.raises(TypeError, match="key"):
        strict.remote(1)
    assert ray.get(strict.remote(1, key=2)) == 2


def test_a_remote_function_cannot_be_called_directly():
    @ray.remote
    def one():
        return 1

    with pytest.raises(TypeError, match=r"one\.remote"):
        one()


def test_references_as_arguments_arrive_as_values():
    @ray.remote
    def add(a, b):
        return a + b

    three = add.remote(1, 2)
    assert ray.get(add.remote(three, b=three)) == 6
    assert ray.get(add.remote(ray.put(10), 1)) == 11


def test_references_inside_containers_stay_references():
    @ray.remote
    def look(items):
        kinds = [isinstance(item, ray.ObjectRef) for item in items["refs"]]
        return kinds, ray.get(items["refs"])

    refs = [ray.put(1), ray.put("two")]
    assert ray.get(look.remote({"refs": refs})) == ([True, True], [1, "two"])


def test_a_chain_of_tasks():
    @ray.remote
    def inc(x):
        return x + 1

    ref = ray.put(0)
    for _ in range(20):
        ref = inc.remote(ref)
    assert ray.get(ref) == 20


def test_several_returns():
    @ray.remote(num_returns=3)
    def three():
        return 1, [2], "3"

    refs = three.remote()
    assert len(refs) == 3
    assert ray.get(refs) == [1, [2], "3"]


def test_no_returns():
    @ray.remote(num_returns=0)
    def nothing():
        return None

    assert nothing.remote() is None


def test_one_return_of_a_tuple_is_one_value():
    @ray.remote
    def pair():
        return 1, 2

    assert ray.get(pair.remote()) == (1, 2)


def test_options_change_one_call_only():
    @ray.remote
    def pair():
        return 1, 2

    assert ray.get(pair.options(num_returns=2).remote()) == [1, 2]
    assert ray.get(pair.remote()) == (1, 2)


def test_options_add_up():
    @ray.remote(num_cpus=1)
    def assigned():
        return ray.get_runtime_context().get_assigned_resources()

    twice = assigned.options(num_cpus=2).options(resources={"special": 1})
    assert ray.get(twice.remote()) == {"CPU": 2.0, "special": 1.0}
    assert ray.get(assigned.remote()) == {"CPU": 1.0}


def test_an_unknown_option_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match="num_cpus"):

        @ray.remote(num_cpu=1)
        def one():
            return 1


def test_an_async_function_is_refused_as_a_task():
    with pytest.raises(ValueError, match="async"):

        @ray.remote
        async def later():
            return 1


def test_remote_without_options_is_refused():
    with pytest.raises(AssertionError, match="remote"):
        ray.remote()


def test_remote_of_something_else_is_refused():
    with pytest.raises(AssertionError, match="remote"):
        ray.remote(3)


def test_a_lambda_and_a_partial_can_be_remote():
    assert ray.get(ray.remote(lambda x: x + 1).remote(1)) == 2
    assert ray.get(ray.remote(functools.partial(pow, 2)).remote(5)) == 32


def test_a_builtin_can_be_remote():
    assert ray.get(ray.remote(sum).remote([1, 2, 3])) == 6


def test_the_signature_and_docstring_are_the_functions_own():
    @ray.remote
    def area(width: float, height: float = 1.0) -> float:
        """Width times height."""
        return width * height

    assert str(inspect.signature(area)).startswith("(width: ")
    assert inspect.signature(area.remote) == inspect.signature(area)
    assert area.__doc__ == "Width times height."
    assert area.__name__ == "area"


def test_nested_tasks():
    @ray.remote
    def leaf(x):
        return x + 1

    @ray.remote
    def branch(x):
        return sum(ray.get([leaf.remote(x + i) for i in range(3)]))

    assert ray.get(branch.remote(10)) == 36


def test_a_recursive_task():
    @ray.remote
    def fib(n):
        if n < 2:
            return n
        return sum(ray.get([fib.remote(n - 1), fib.remote(n - 2)]))

    assert ray.get(fib.remote(5)) == 5


def test_a_task_may_return_a_reference():
    @ray.remote
    def inner():
        return "deep"

    @ray.remote
    def outer():
        return inner.remote()

    ref = ray.get(outer.remote())
    assert isinstance(ref, ray.ObjectRef)
    assert ray.get(ref) == "deep"


def test_a_remote_function_can_be_an_argument():
    @ray.remote
    def double(x):
        return 2 * x

    @ray.remote
    def apply(function, value):
        return ray.get(function.remote(value))

    assert ray.get(apply.remote(double, 4)) == 8


def test_closures_are_taken_along_as_they_are_at_the_first_call():
    values = [1]

    @ray.remote
    def total():
        return sum(values)

    assert ray.get(total.remote()) == 1
    values.append(10)
    assert ray.get(total.remote()) == 1


def test_a_task_changes_its_own_copy_of_an_argument():
    @ray.remote
    def change(items):
        items.append(4)
        return items

    mine = [1, 2, 3]
    assert ray.get(change.remote(mine)) == [1, 2, 3, 4]
    assert mine == [1, 2, 3]


def test_redefinition_takes_effect():
    for version in range(30):

        @ray.remote
        def current(value=version):
            return value

        assert ray.get(current.remote()) == version


def test_the_runtime_context_of_a_task():
    @ray.remote(name="known")
    def here():
        context = ray.get_runtime_context()
        return context.get_task_id(), context.get_task_name(), context.get_actor_id()

    task, name, actor = ray.get(here.remote())
    assert task
    assert name == "known"
    assert actor is None


def test_tasks_have_ids_of_their_own():
    @ray.remote
    def task_id():
        return ray.get_runtime_context().get_task_id()

    assert len(set(ray.get([task_id.remote() for _ in range(20)]))) == 20


def test_the_runtime_context_of_the_driver():
    context = ray.get_runtime_context()
    assert context.get_task_id() is None
    assert context.get_actor_id() is None
    assert context.get_node_id() == ray.nodes()[0]["NodeID"]
    assert context.get_job_id()
    assert context.namespace == "contract"


def test_many_small_tasks():
    @ray.remote
    def same(x):
        return x

    assert ray.get([same.remote(i) for i in range(1000)]) == list(range(1000))


def test_a_long_list_of_references_as_argument():
    @ray.remote
    def one():
        return 1

    @ray.remote
    def total(refs):
        return sum(ray.get(refs))

    assert ray.get(total.remote([one.remote() for _ in range(100)])) == 100


def test_tasks_from_several_threads():
    @ray.remote
    def double(x):
        return 2 * x

    results = {}

    def work(start):
        results[start] = ray.get([double.remote(start + i) for i in range(20)])

    threads = [threading.Thread(target=work, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {100 * i: [2 * (100 * i + j) for j in range(20)] for i in range(4)}


@pytest.mark.concurrent
def test_tasks_run_in_other_processes_at_the_same_time():
    @ray.remote
    def where():
        time.sleep(0.3)
        return os.getpid()

    pids = set(ray.get([where.remote() for _ in range(4)]))
    assert len(pids) > 1
    assert os.getpid() not in pids


@pytest.mark.concurrent
def test_a_task_starts_without_anyone_waiting_for_it(tmp_path, until):
    marker = tmp_path / "started"

    @ray.remote
    def touch():
        marker.touch()

    ref = touch.remote()
    until(marker.exists)
    del ref


@pytest.mark.concurrent
def test_cancelling_a_running_task():
    @ray.remote
    def forever():
        while True:
            time.sleep(0.01)

    ref = forever.remote()
    time.sleep(0.3)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)


@pytest.mark.concurrent
def test_cancelling_a_waiting_task():
    @ray.remote(num_cpus=4)
    def busy():
        time.sleep(1)

    first, second = busy.remote(), busy.remote()
    ray.cancel(second)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(second, timeout=60)
    assert ray.get(first, timeout=60) is None


@pytest.mark.concurrent
def test_cancelling_by_force():
    @ray.remote(max_retries=0)
    def stubborn():
        while True:
            try:
                time.sleep(0.01)
            except BaseException:
                pass

    ref = stubborn.remote()
    time.sleep(0.3)
    ray.cancel(ref, force=True)
    with pytest.raises((ray.exceptions.TaskCancelledError, ray.exceptions.WorkerCrashedError)):
        ray.get(ref, timeout=60)


def test_cancelling_a_finished_task_does_nothing():
    @ray.remote
    def one():
        return 1

    ref = one.remote()
    assert ray.get(ref) == 1
    ray.cancel(ref)
    assert ray.get(ref) == 1


def test_cancel_of_something_else_is_refused():
    with pytest.raises(TypeError, match="cancel"):
        ray.cancel("ref")
