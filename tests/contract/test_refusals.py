"""What is no argument and no option, and which error says so."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from api import load, ray


def f():
    return 1


class A:
    def f(self):
        return 1


SEQUENCES = {
    "tuple": lambda ref: (ref,), "no tuple": lambda _: (), "set": lambda ref: {ref},
    "dictionary": lambda ref: {ref: 1}, "values": lambda ref: {1: ref}.values(),
    "deque": lambda ref: deque([ref]), "iterator": lambda ref: iter([ref]),
    "generator": lambda ref: (one for one in [ref]), "range": lambda _: range(0),
}  # fmt: skip


@pytest.mark.parametrize("make", SEQUENCES.values(), ids=SEQUENCES)
def test_of_sequences_lists_are_taken(make):
    with pytest.raises(ValueError, match="Invalid type of object refs"):
        ray.get(make(ray.put(1)))
    with pytest.raises(TypeError, match="list"):
        ray.wait(make(ray.put(1)))


def test_a_list_of_ones_own_is_a_list():
    class Own(list):
        pass

    assert ray.get(Own([ray.put(1)])) == [1]


def test_lists_in_lists_are_no_references():
    for wrong in ([[ray.put(1)]], [(ray.put(1),)], [None]):
        with pytest.raises(TypeError):
            ray.get(wrong)
        with pytest.raises(TypeError):
            ray.wait(wrong)


def test_numbers_of_other_kinds():
    refs = [ray.put(1), ray.put(2)]
    ready, rest = ray.wait(refs, num_returns=2.0, timeout=True)
    assert (len(ready), len(rest)) == (2, 0)
    assert ray.get(refs[0], timeout=True) == 1
    for wrong in ("1", None):
        with pytest.raises(TypeError):
            ray.wait(refs, num_returns=wrong)
    with pytest.raises(TypeError):
        ray.wait(refs, timeout="soon")


def test_amounts_are_numbers_of_python():
    @ray.remote
    def task():
        return ray.get_runtime_context().get_assigned_resources().get("special")

    amount = np.float64(0.25)  # is a float
    assert ray.get(task.options(resources={"special": amount}).remote()) == 0.25
    for wrong in (np.float32(0.5), np.int64(1)):
        with pytest.raises((TypeError, ValueError)):
            task.options(resources={"special": wrong}).remote()
        with pytest.raises(TypeError):
            task.options(num_cpus=wrong)


def test_the_names_of_arguments():
    ref = ray.put(value=3)
    assert ray.get(object_refs=[ref]) == [3]
    assert ray.wait(ray_waitables=[ref], num_returns=1, timeout=60) == ([ref], [])
    ray.cancel(ray_waitable=ref)
    for call in (ray.get, ray.wait, ray.cancel, ray.put):
        with pytest.raises(TypeError):
            call(refs=[ref])
        with pytest.raises(TypeError):
            call()


TASK = [
    ("num_cpus", "1", TypeError), ("num_cpus", -1, ValueError), ("num_gpus", [], TypeError),
    ("resources", {"CPU": 1}, ValueError), ("resources", {"a": "x"}, TypeError),
    ("resources", [], TypeError), ("num_returns", "x", TypeError), ("num_returns", -1, ValueError),
    ("num_returns", "streaming", ValueError), ("max_retries", -2, ValueError),
    ("max_retries", "a", TypeError), ("retry_exceptions", None, TypeError),
    ("retry_exceptions", ["a"], ValueError), ("retry_exceptions", ValueError, TypeError),
    ("name", 1, TypeError), ("runtime_env", "a", TypeError), ("scheduling_strategy", 1, TypeError),
    ("placement_group", 1, TypeError), ("placement_group_bundle_index", None, TypeError),
    ("placement_group_capture_child_tasks", 1, TypeError), ("enable_task_events", 1, TypeError),
    ("label_selector", {"a": 1}, TypeError), ("label_selector", "a", TypeError),
    ("fallback_strategy", {}, TypeError), ("fallback_strategy", [{}], ValueError),
    ("_labels", 1, TypeError), ("object_store_memory", 1, ValueError), ("foo", 1, ValueError),
    ("lifetime", "detached", ValueError), ("max_restarts", 1, ValueError),
    ("enable_tensor_transport", True, ValueError), ("_metadata", {}, ValueError),
]  # fmt: skip
ACTOR = [
    ("num_cpus", "1", TypeError), ("max_concurrency", -1, ValueError),
    ("max_restarts", -2, ValueError), ("max_restarts", 1.5, TypeError),
    ("max_task_retries", "a", TypeError), ("max_pending_calls", -2, ValueError),
    ("lifetime", "", ValueError), ("lifetime", "x", ValueError), ("lifetime", 1, TypeError),
    ("name", b"a", TypeError), ("namespace", 1, TypeError), ("get_if_exists", 1, TypeError),
    ("get_if_exists", True, ValueError), ("allow_out_of_order_execution", 1, TypeError),
    ("enable_tensor_transport", 1, TypeError), ("object_store_memory", 1.5, TypeError),
    ("_actor_generator_backpressure_num_objects", 0, ValueError), ("num_returns", 2, ValueError),
    ("max_calls", 1, ValueError), ("retry_exceptions", True, ValueError), ("foo", 1, ValueError),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "error"), TASK, ids=lambda one: str(one)[:30])
def test_options_of_tasks(name, value, error):
    with pytest.raises(error):
        ray.remote(**{name: value})(f)
    with pytest.raises(error):
        ray.remote(f).options(**{name: value})


@pytest.mark.parametrize(("name", "value", "error"), ACTOR, ids=lambda one: str(one)[:30])
def test_options_of_actors(name, value, error):
    with pytest.raises(error):
        ray.remote(**{name: value})(A)
    with pytest.raises(error):
        ray.remote(A).options(**{name: value})


@pytest.mark.parametrize("given", [{"name": ""}, {"name": "a", "namespace": ""}, {"num_gpus": 1.5}])
def test_options_that_are_looked_at_when_an_actor_is_made(given):
    with pytest.raises(ValueError):
        ray.remote(A).options(**given).remote()


def test_one_gpu_is_shared_and_several_are_whole():
    with pytest.raises(ValueError, match="whole numbers"):
        ray.remote(num_gpus=2.5)(f).remote()


def test_options_of_methods():
    for unknown in ({"foo": 1}, {"num_cpus": 1}, {"max_retries": 1}, {"runtime_env": {}}):
        with pytest.raises(AssertionError):
            ray.method(**unknown)(f)
    with pytest.raises(ValueError, match="num_returns"):
        ray.method(num_returns=-1)(f)
    with pytest.raises(ValueError, match="transport"):
        ray.method(tensor_transport="x")(f)
    assert ray.method()(f) is f
    assert ray.method(f) is f
    for known in ({"enable_task_events": False}, {"_num_objects_per_yield": 1}):
        assert ray.method(**known)(f) is f


def test_options_of_calls():
    actor = ray.remote(num_cpus=0)(A).remote()
    for unknown in ({"foo": 1}, {"num_cpus": 1}, {"max_retries": 1}):
        with pytest.raises(TypeError):
            actor.f.options(**unknown).remote()
        with pytest.raises(TypeError):
            actor.f._remote(**unknown)
    for wrong in (ValueError, 1, "a"):
        with pytest.raises(AssertionError, match="retry_exceptions"):
            actor.f.options(retry_exceptions=wrong).remote()
    known = {"enable_task_events": False, "tensor_transport": None, "max_task_retries": 0}
    assert ray.get(actor.f.options(**known).remote(), timeout=60) == 1


def test_options_that_change_nothing():
    made = ray.remote(num_cpus=0, enable_tensor_transport=False, _labels={"a": "b"})(A)
    assert ray.get(made.remote().f.remote(), timeout=60) == 1
    task = ray.remote(_num_objects_per_yield=1, _labels={}, enable_task_events=True)(f)
    assert ray.get(task.remote(), timeout=60) == 1


def test_what_a_definition_was_given():
    given = {"num_cpus": 2, "max_retries": 7, "resources": {"special": 1}}
    assert ray.remote(**given)(f)._default_options == given
    assert ray.remote(f)._default_options == {}
    assert ray.remote(max_restarts=7)(A)._default_options == {"max_restarts": 7}


@pytest.mark.parametrize("kind", ["function", "class"])
def test_what_takes_too_much_along(kind):
    much = bytes(10**8)

    def f():
        return len(much)

    class A:
        def f(self):
            return len(much)

    with pytest.raises(ValueError, match="too large .*FUNCTION_SIZE_ERROR_THRESHOLD"):
        ray.remote(f if kind == "function" else A).remote()


def test_a_handle_keeps_what_it_is_given():
    actor = ray.remote(num_cpus=0)(A).remote()
    actor.rank = 3
    assert actor.rank == 3
    with pytest.raises(AttributeError):
        actor.other  # noqa: B018


def test_a_jobs_settings():
    job_config = load("job_config").JobConfig
    made = job_config(ray_namespace="mine", metadata={"a": "b"})
    assert (made.ray_namespace, made.metadata, made.runtime_env) == ("mine", {"a": "b"}, {})
    made.set_metadata("c", "d")
    made.set_ray_namespace("other")
    made.set_runtime_env({"env_vars": {"A": "1"}})
    assert made.metadata == {"a": "b", "c": "d"}
    assert (made.ray_namespace, made.runtime_env) == ("other", {"env_vars": {"A": "1"}})
    assert job_config.from_json({"ray_namespace": "q"}).ray_namespace == "q"
    with pytest.raises(ValueError, match="lifetime"):
        job_config(default_actor_lifetime="for ever")
    with pytest.raises(TypeError, match="search path"):
        job_config(code_search_path="a")
