"""The validation table of options."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nbray.options import (
    ActorOptions,
    MethodOptions,
    TaskOptions,
    actor_options,
    demand,
    method_options,
    spec_key,
    task_options,
)


def test_defaults():
    assert task_options({}) == TaskOptions()
    assert task_options({}).num_cpus == 1
    assert actor_options({}).num_cpus is None
    assert method_options({}) == MethodOptions()


def test_options_are_laid_over_a_base():
    base = task_options({"num_cpus": 2, "name": "base"})
    over = task_options({"name": "over"}, base)
    assert (over.num_cpus, over.name) == (2, "over")
    assert base.name == "base"


def test_none_means_the_default():
    assert task_options({"num_cpus": None, "num_gpus": None, "resources": None}) == TaskOptions()


@pytest.mark.parametrize(
    ("given", "suggestion"),
    [({"num_cpu": 1}, "num_cpus"), ({"max_retry": 1}, "max_retries"), ({"num_return": 1}, "num_r")],
    ids=str,
)
def test_unknown_options_come_with_a_suggestion(given, suggestion):
    with pytest.raises(ValueError, match=f"did you mean '{suggestion}"):
        task_options(given)


def test_an_unknown_option_without_a_near_one_lists_all():
    with pytest.raises(ValueError, match="retry_exceptions"):
        task_options({"zzz": 1})


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"num_cpus": True}, TypeError),
        ({"num_cpus": "1"}, TypeError),
        ({"num_cpus": -0.5}, ValueError),
        ({"num_cpus": float("inf")}, ValueError),
        ({"num_gpus": float("nan")}, ValueError),
        ({"resources": {"GPU": 1}}, ValueError),
        ({"resources": {"": 1}}, TypeError),
        ({"resources": {"a": -1}}, ValueError),
        ({"resources": {"a": "b"}}, TypeError),
        ({"max_retries": -2}, ValueError),
        ({"num_returns": 1.0}, TypeError),
        ({"retry_exceptions": [ValueError, 3]}, TypeError),
        ({"retry_exceptions": "all"}, TypeError),
        ({"name": b"x"}, TypeError),
    ],
    ids=str,
)
def test_bad_task_options(given, error):
    with pytest.raises(error):
        task_options(given)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"max_concurrency": -1}, ValueError),
        ({"concurrency_groups": {"io": 0}}, ValueError),
        ({"concurrency_groups": 3}, TypeError),
        ({"lifetime": "for ever"}, ValueError),
        ({"get_if_exists": 1, "name": "x"}, TypeError),
        ({"get_if_exists": True}, ValueError),
        ({"max_restarts": -2}, ValueError),
        ({"num_returns": 2}, ValueError),
    ],
    ids=str,
)
def test_bad_actor_options(given, error):
    with pytest.raises(error):
        actor_options(given)


@pytest.mark.parametrize(
    "name", ["max_retries", "max_calls", "node", "_generator_backpressure_num_objects"]
)
def test_a_number_that_no_counter_reaches_is_any_such_number(name: str) -> None:
    assert task_options({name: 10**400}) == task_options({name: 2**64})
    msgspec.msgpack.encode(task_options({name: 10**400}))


@pytest.mark.parametrize("amount", [1e305, 1e308, 10**400])
def test_an_amount_that_no_machine_has_is_counted_all_the_same(amount: float) -> None:
    for name in ("num_cpus", "num_gpus", "memory"):
        assert max(demand(task_options({name: amount})).values()) > 2**60
        assert max(demand(actor_options({name: amount})).values()) > 2**60


def test_lifetime():
    assert actor_options({"lifetime": "detached"}).lifetime == "detached"
    assert actor_options({"lifetime": None}).lifetime == ""
    assert actor_options({"lifetime": "non_detached"}).lifetime == "non_detached"


def test_retry_exceptions_become_a_tuple():
    assert task_options({"retry_exceptions": [ValueError]}).retry_exceptions == (ValueError,)
    assert task_options({"retry_exceptions": True}).retry_exceptions is True


def test_demand_is_exact_and_without_zeros():
    options = task_options({"num_cpus": 0.1, "resources": {"a": 0.3, "b": 0}})
    assert demand(options) == {"CPU": 1000, "a": 3000}
    assert demand(ActorOptions()) == {}
    assert demand(task_options({"memory": 5, "num_gpus": 1, "num_cpus": 0})) == {
        "GPU": 10_000,
        "memory": 50_000,
    }


@pytest.mark.parametrize("field", TaskOptions.__struct_fields__)
def test_no_option_is_forgotten_where_tasks_are_told_apart(field: str) -> None:
    plain = TaskOptions()
    other: dict[str, Any] = {"resources": {"disk": 1.0}, "name": "other", "counted": False,
                             "retry_exceptions": (ValueError,)}  # fmt: skip
    changed = msgspec.structs.replace(plain, **{field: other.get(field, 7)})
    assert spec_key(changed) != spec_key(plain)
    assert hash(spec_key(changed)) != hash(spec_key(plain))
    assert spec_key(msgspec.structs.replace(plain)) == spec_key(plain)
