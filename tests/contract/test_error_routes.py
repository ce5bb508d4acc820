"""An error has its type, its text and its cause, wherever it was raised."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from api import ray

RayError, RayTaskError = ray.exceptions.RayError, ray.exceptions.RayTaskError


class Own(Exception):
    """As users write it."""


ERRORS = {
    "ValueError": ValueError("why"),
    "KeyError": KeyError("why"),
    "ZeroDivisionError": ZeroDivisionError("why"),
    "OSError": OSError("why"),
    "RuntimeError": RuntimeError("why"),
    "own": Own("why"),
}
ROUTES = [
    "task", "argument", "nested", "method", "coroutine", "static", "call after it", "future",
    "awaited", "second return",
]  # fmt: skip


@ray.remote(num_cpus=0)
class Failing:
    def fail(self, error):
        raise error

    @staticmethod
    def static(error):
        raise error

    def fine(self):
        return "fine"


@ray.remote(num_cpus=0)
class Awaited:
    async def fail(self, error):
        await asyncio.sleep(0)
        raise error


@ray.remote
def fail(error):
    raise error


@ray.remote
def same(value):
    return value


@pytest.fixture(scope="module")
def actors(engine):
    return Failing.remote(), Awaited.remote()


def raised_by(route, error, actors):
    """Have *error* raised the way *route* says, and get it."""
    plain, awaited = actors
    if route == "task":
        return ray.get(fail.remote(error))
    if route == "argument":
        return ray.get(same.remote(same.remote(fail.remote(error))))
    if route == "nested":

        @ray.remote
        def outer():
            return ray.get(fail.remote(error))

        return ray.get(outer.remote())
    if route == "method":
        return ray.get(plain.fail.remote(error))
    if route == "static":
        return ray.get(plain.static.remote(error))
    if route == "call after it":
        ref = plain.fail.remote(error)
        assert ray.get(plain.fine.remote()) == "fine"
        return ray.get(ref)
    if route == "coroutine":
        return ray.get(awaited.fail.remote(error))
    if route == "future":
        return fail.remote(error).future().result(timeout=60)
    if route == "awaited":

        async def main():
            return await fail.remote(error)

        return asyncio.run(main())
    return ray.get(fail.options(num_returns=2).remote(error)[1])


@pytest.mark.parametrize("route", ROUTES, ids=[route.replace(" ", "-") for route in ROUTES])
@pytest.mark.parametrize("name", ERRORS)
def test_it_is_of_its_own_class_and_a_task_error(name, route, actors):
    error = ERRORS[name]
    with pytest.raises(type(error)) as caught:
        raised_by(route, error, actors)
    assert isinstance(caught.value, RayTaskError)
    assert isinstance(caught.value, RayError)
    assert "why" in str(caught.value)


@pytest.mark.parametrize("name", ERRORS)
def test_its_cause_is_what_was_raised(name):
    error = ERRORS[name]
    with pytest.raises(RayTaskError) as caught:
        ray.get(fail.remote(error))
    assert type(caught.value.cause).__name__ == type(error).__name__
    assert caught.value.cause.args == error.args


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_of_a_list_fails(position):
    refs = [ray.put(1), ray.put(2)]
    refs.insert(position, fail.remote(ValueError("why")))
    with pytest.raises(ValueError, match="why"):
        ray.get(refs)


@pytest.mark.parametrize("timeout", [None, 0, 30])
def test_a_failure_that_is_there_is_raised_at_any_timeout(timeout):
    ref = fail.remote(ValueError("why"))
    ray.wait([ref])
    with pytest.raises(ValueError, match="why"):
        ray.get(ref, timeout=timeout)


# What Ray raises on its own account, of one task and of those that take it.


@pytest.mark.concurrent
def test_who_takes_what_a_dead_worker_made_fails_as_a_task():
    @ray.remote(max_retries=0)
    def dies():
        os._exit(3)

    @ray.remote
    def takes(value):
        return value

    @ray.remote(num_cpus=0)
    class Actor:
        def takes(self, value):
            return value

    crashed = dies.remote()
    passed_on = [
        takes.remote(crashed), takes.remote(takes.remote(crashed)),
        Actor.remote().takes.remote(crashed),
    ]  # fmt: skip
    with pytest.raises(ray.exceptions.WorkerCrashedError) as caught:
        ray.get(crashed, timeout=60)
    assert not isinstance(caught.value, ray.exceptions.RayTaskError)
    for ref in passed_on:
        with pytest.raises(ray.exceptions.WorkerCrashedError, match="input arguments") as caught:
            ray.get(ref, timeout=60)
        assert isinstance(caught.value, ray.exceptions.RayTaskError)
        assert type(caught.value.cause) is ray.exceptions.WorkerCrashedError


def test_who_takes_a_dead_actors_result_fails_as_a_task():
    @ray.remote(num_cpus=0)
    class Actor:
        def __init__(self):
            raise ValueError("no")

        def method(self):
            pass

    @ray.remote
    def takes(value):
        return value

    with pytest.raises(ray.exceptions.ActorDiedError, match="ValueError: no") as caught:
        ray.get(takes.remote(Actor.remote().method.remote()), timeout=60)
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert type(caught.value.cause) is ray.exceptions.ActorDiedError


@pytest.mark.concurrent
def test_what_was_cancelled_while_it_ran_says_where_it_was(tmp_path, until):
    began = tmp_path / "began"

    @ray.remote
    def runs():
        began.touch()
        while True:
            time.sleep(0.01)

    @ray.remote
    def takes(value):
        return value

    @ray.remote(num_cpus=4)
    def waits():
        pass

    ref = runs.remote()
    until(began.exists)
    waiting = waits.remote()
    behind = takes.remote(ref)
    ray.cancel(waiting)
    ray.cancel(ref)
    for one in (ref, behind):
        with pytest.raises(ray.exceptions.TaskCancelledError, match="in runs") as caught:
            ray.get(one, timeout=60)
        assert isinstance(caught.value, ray.exceptions.RayTaskError)
        assert type(caught.value.cause) is ray.exceptions.TaskCancelledError
    with pytest.raises(ray.exceptions.TaskCancelledError) as caught:
        ray.get(waiting, timeout=60)
    assert not isinstance(caught.value, ray.exceptions.RayTaskError)
