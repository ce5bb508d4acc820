"""How remote functions and classes are made and called, and what is refused."""

from __future__ import annotations

import pytest
from api import ray


def add(a, b=1):
    return a + b


class Adder:
    def __init__(self, base=0):
        self.base = base

    def add(self, a):
        return self.base + a


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"num_cpus": -1}, ValueError), ({"num_cpus": "1"}, TypeError),
        ({"num_cpus": 1e-6}, ValueError), ({"memory": -1}, ValueError),
        ({"resources": {"CPU": 1}}, ValueError), ({"resources": [1]}, TypeError),
        ({"resources": {"special": 1e-5}}, ValueError), ({"num_returns": 1.5}, TypeError),
        ({"num_returns": -1}, ValueError), ({"max_retries": -2}, ValueError),
        ({"retry_exceptions": ValueError}, TypeError), ({"retry_exceptions": [1]}, ValueError),
        ({"retry_exceptions": [KeyboardInterrupt]}, ValueError), ({"name": 1}, TypeError),
        ({"enable_task_events": 1}, TypeError), ({"unknown": 1}, ValueError),
        ({"max_restarts": 1}, ValueError), ({"object_store_memory": 1}, ValueError),
        ({"_metadata": {}}, ValueError), ({"lifetime": "detached"}, ValueError),
    ],
    ids=str,
)  # fmt: skip
def test_options_of_functions_that_are_refused(given, error):
    with pytest.raises(error):
        ray.remote(add).options(**given)
    with pytest.raises(error):
        ray.remote(**given)(add)


@pytest.mark.parametrize(
    "given",
    [
        {"num_cpus": 0.5}, {"num_cpus": None}, {"num_gpus": 0}, {"memory": 1.5},
        {"resources": {"special": 0.001}}, {"num_returns": None}, {"max_retries": -1},
        {"retry_exceptions": True}, {"retry_exceptions": (ValueError,)},
        {"name": None}, {"enable_task_events": False}, {"_labels": {"a": "b"}},
    ],
    ids=str,
)  # fmt: skip
def test_options_of_functions_that_are_taken(given):
    assert ray.get(ray.remote(add).options(**given).remote(1)) == 2
    assert ray.get(ray.remote(**given)(add).remote(1)) == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"max_restarts": -2}, ValueError), ({"max_concurrency": -1}, ValueError),
        ({"lifetime": "x"}, ValueError), ({"get_if_exists": 1}, TypeError),
        ({"get_if_exists": True}, ValueError), ({"max_pending_calls": -2}, ValueError),
        ({"namespace": 1}, TypeError), ({"num_returns": 2}, ValueError),
        ({"max_calls": 1}, ValueError), ({"max_retries": 1}, ValueError),
        ({"allow_out_of_order_execution": 1}, TypeError), ({"unknown": 1}, ValueError),
    ],
    ids=str,
)  # fmt: skip
def test_options_of_classes_that_are_refused(given, error):
    with pytest.raises(error):
        ray.remote(Adder).options(**given)
    with pytest.raises(error):
        ray.remote(**given)(Adder)


@pytest.mark.parametrize("given", [{"unknown": 1}, {"num_cpus": 1}, {"max_retries": 1}], ids=str)
def test_options_of_methods_that_are_refused(given):
    with pytest.raises(AssertionError):
        ray.method(**given)
    actor = ray.remote(num_cpus=0)(Adder).remote()
    with pytest.raises(TypeError):
        actor.add.options(**given).remote(1)


def test_a_method_may_be_marked_without_options():
    @ray.remote(num_cpus=0)
    class Marked:
        @ray.method
        def one(self):
            return 1

    assert ray.get(Marked.remote().one.remote()) == 1


@pytest.mark.parametrize("call", [(), (3,), (add, add)], ids=["none", "a number", "two"])
def test_remote_in_forms_that_there_are_not(call):
    with pytest.raises(AssertionError):
        ray.remote(*call)
    with pytest.raises(AssertionError):
        ray.remote(add, num_cpus=1)


def test_what_cannot_be_made_remote():
    class Called:
        def __call__(self):
            return 1

    for thing in (Called(), ray.remote(add), ray.remote(Adder)):
        with pytest.raises(TypeError):
            ray.remote(thing)

    async def waits():
        return 1

    with pytest.raises(ValueError, match="async def"):
        ray.remote(waits).remote()


def test_what_cannot_be_called_directly():
    with pytest.raises(TypeError, match="cannot be called directly"):
        ray.remote(add)(1)
    with pytest.raises(TypeError, match="cannot be instantiated directly"):
        ray.remote(Adder)()
    actor = ray.remote(num_cpus=0)(Adder).remote()
    with pytest.raises(TypeError, match="cannot be called directly"):
        actor.add(1)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        actor.nothing.remote()
    with pytest.raises(AttributeError, match="nothing"):
        ray.remote(Adder).nothing()


def test_the_longer_form_of_calls():
    function, kind = ray.remote(add), ray.remote(num_cpus=0)(Adder)
    assert ray.get(function._remote(args=[1], kwargs={"b": 2})) == 3
    assert ray.get(function._remote(args=(1,), num_cpus=2)) == 2
    actor = kind._remote(args=[10], kwargs={}, name="longer form")
    assert ray.get(actor.add._remote(args=[1])) == 11
    assert ray.get(ray.get_actor("longer form").add._remote((1,), {}, num_returns=1)) == 11
    assert function._function is add


def test_an_actor_class_cannot_be_inherited_from():
    base = ray.remote(Adder)
    with pytest.raises(TypeError, match="[Ii]nherit"):

        class Derived(base):
            pass


def test_an_owner_of_a_value_cannot_be_named():
    actor = ray.remote(num_cpus=0)(Adder).remote()
    with pytest.raises(ValueError, match="_owner"):
        ray.put(1, _owner=actor)
    with pytest.raises(TypeError, match="not allowed"):
        ray.put(ray.put(1))
