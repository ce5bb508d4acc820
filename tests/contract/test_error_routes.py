"""An error has its type, its text and its cause, wherever it was raised."""

from __future__ import annotations

import asyncio

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
