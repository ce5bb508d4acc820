"""Arguments arrive as in a plain call, in tasks, in methods of every kind and in `__init__`."""

from __future__ import annotations

import functools

import pytest
from api import ray


def show(a, b=2, *rest, c=3, **more):
    return a, b, rest, c, more


CALLS = [
    ((1,), {}),
    ((1, 5), {}),
    ((1, 5, 6, 7), {}),
    ((), {"a": 1}),
    ((1,), {"b": 9}),
    ((1,), {"c": 9}),
    ((1, 5, 6), {"c": 9, "d": 10}),
    ((), {"a": 1, "b": 2, "z": 3}),
    ((None,), {}),
    (([1, 2],), {"c": {"k": (1,)}}),
]
WRONG = [((), {}), ((1,), {"a": 2}), ((), {"b": 1})]


@ray.remote(num_cpus=0)
class Shown:
    def __init__(self, *args, **kwargs):
        self.made = show(*args, **kwargs) if args or kwargs else None

    def read(self):
        return self.made

    def plain(self, a, b=2, *rest, c=3, **more):
        return a, b, rest, c, more

    @staticmethod
    def static(a, b=2, *rest, c=3, **more):
        return a, b, rest, c, more

    @classmethod
    def of_class(cls, a, b=2, *rest, c=3, **more):
        return a, b, rest, c, more


@ray.remote(num_cpus=0)
class Awaited:
    async def plain(self, a, b=2, *rest, c=3, **more):
        return a, b, rest, c, more


@pytest.fixture(scope="module")
def shown(engine):
    return Shown.remote()


@pytest.fixture(scope="module")
def awaited(engine):
    return Awaited.remote()


def ids(call):
    return str(call).replace(" ", "")


@pytest.mark.parametrize("call", CALLS, ids=ids)
def test_a_task(call):
    args, kwargs = call
    assert ray.get(ray.remote(show).remote(*args, **kwargs)) == show(*args, **kwargs)


@pytest.mark.parametrize("call", CALLS, ids=ids)
def test_a_task_with_references(call):
    args, kwargs = call
    refs = [ray.put(value) for value in args], {k: ray.put(v) for k, v in kwargs.items()}
    assert ray.get(ray.remote(show).remote(*refs[0], **refs[1])) == show(*args, **kwargs)


@pytest.mark.parametrize("method", ["plain", "static", "of_class"])
@pytest.mark.parametrize("call", CALLS, ids=ids)
def test_a_method(shown, method, call):
    args, kwargs = call
    assert ray.get(getattr(shown, method).remote(*args, **kwargs)) == show(*args, **kwargs)


@pytest.mark.parametrize("call", CALLS, ids=ids)
def test_a_coroutine(awaited, call):
    args, kwargs = call
    assert ray.get(awaited.plain.remote(*args, **kwargs)) == show(*args, **kwargs)


@pytest.mark.parametrize("call", [CALLS[0], CALLS[6]], ids=ids)
def test_an_init(call):
    args, kwargs = call
    assert ray.get(Shown.remote(*args, **kwargs).read.remote()) == show(*args, **kwargs)


@pytest.mark.parametrize("call", WRONG, ids=ids)
def test_what_does_not_fit_a_function(call):
    args, kwargs = call
    with pytest.raises(TypeError):
        ray.remote(show).remote(*args, **kwargs)


@pytest.mark.parametrize("method", ["plain", "of_class"])
@pytest.mark.parametrize("call", WRONG, ids=ids)
def test_what_does_not_fit_a_method(shown, method, call):
    args, kwargs = call
    with pytest.raises(TypeError):
        getattr(shown, method).remote(*args, **kwargs)


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("kind", [tuple, list])
def test_several_returns(count, kind):
    @ray.remote
    def several(n):
        return kind(range(n))

    refs = several.options(num_returns=count).remote(count)
    assert ray.get(refs) == list(range(count))


@pytest.mark.parametrize("options", [{}, {"num_cpus": 1}, {"num_cpus": 0.5}], ids=ids)
@pytest.mark.parametrize("way", ["decorator", "options"])
def test_options_are_said_either_way(options, way):
    def one(x):
        return x + 1

    if way == "decorator":
        made = ray.remote(**options)(one) if options else ray.remote(one)
    else:
        made = ray.remote(one).options(**options)
    assert ray.get(made.remote(1)) == 2


def test_a_decorated_function():
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return 2 * function(*args, **kwargs)

        return wrapper

    @ray.remote
    @twice
    def three(x=3):
        return x

    assert ray.get(three.remote()) == 6
    assert ray.get(three.remote(5)) == 10
