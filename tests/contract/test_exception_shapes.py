"""Exceptions of every shape as arguments, results, stored values and errors, on every engine."""

from __future__ import annotations

import asyncio
import dataclasses
import threading

import pytest
from api import ray

RayTaskError = ray.exceptions.RayTaskError


class Coded(Exception):
    def __init__(self, code, *, reason):
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Named(OSError):
    __slots__ = ("__owner",)

    def __init__(self, path, owner):
        super().__init__(2, "not there", path)
        self.__owner = owner

    def owner(self):
        return self.__owner


class Held(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


def told(error):
    if isinstance(error, Coded):
        return error.code, error.reason
    return error.errno, error.filename, error.owner()


@ray.remote
def give(error):
    return [error, {"again": error}]


@ray.remote
def tell(error):
    return told(error)


@ray.remote
def fail(error):
    raise error


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Coded(3, reason="why"), (3, "why")),
        (lambda: Named("/x", "me"), (2, "/x", "me")),
    ],
    ids=["init", "slots-and-c"],
)
def test_an_exception_is_a_value_like_any_other(make, says):
    error = make()
    assert told(ray.get(ray.put(error))) == says
    assert told(ray.get(ray.put({"a": [error]}))["a"][0]) == says
    assert ray.get(tell.remote(error)) == says
    assert ray.get(tell.remote(ray.put(error))) == says
    first, more = ray.get(give.remote(error))
    assert told(first) == told(more["again"]) == says
    with pytest.raises(type(error)) as caught:
        ray.get(fail.remote(error))
    assert told(caught.value) == says
    assert isinstance(caught.value, RayTaskError)


def test_an_actor_keeps_and_raises_exceptions():
    @ray.remote
    class Keeper:
        def __init__(self, error):
            self.error = error

        def get(self):
            return self.error

        def fail(self):
            raise self.error from ValueError("cause")

    keeper = Keeper.remote(Coded(5, reason="kept"))
    assert told(ray.get(keeper.get.remote())) == (5, "kept")
    with pytest.raises(Coded) as caught:
        ray.get(keeper.fail.remote())
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(TypeError, match="lock"):
        Keeper.remote(Held("h"))


def test_groups_of_tasks_of_asyncio_are_split():
    @ray.remote
    class Several:
        async def run(self):
            async def bad(error):
                raise error

            async with asyncio.TaskGroup() as group:
                group.create_task(bad(Coded(1, reason="one")))
                group.create_task(bad(KeyError("k")))

    codes, keys = [], []
    try:
        ray.get(Several.remote().run.remote())
    except* Coded as errors:
        codes += [error.code for error in errors.exceptions]
    except* KeyError as errors:
        keys += [error.args for error in errors.exceptions]
    assert (codes, keys) == ([1], [("k",)])


def test_what_a_group_holds_may_be_nested_and_half_unpicklable():
    @ray.remote
    def both():
        inner = ExceptionGroup("inner", [Held("held"), Coded(2, reason="x")])
        raise ExceptionGroup("outer", [inner, OSError(5, "why", "/p")])

    with pytest.raises(ExceptionGroup) as caught:
        ray.get(both.remote())
    assert isinstance(caught.value, RayTaskError)
    held, _ = caught.value.split(Held)
    assert held.exceptions[0].exceptions[0].args == ("held",)
    paths, _ = caught.value.split(OSError)
    assert paths.exceptions[0].filename == "/p"


def test_classes_that_forbid_subclasses_are_caught_by_their_names():
    class Closed(Exception):
        def __init_subclass__(cls):
            raise TypeError("closed")

    with pytest.raises(Closed) as caught:
        ray.get(fail.remote(Closed("c")))
    assert isinstance(caught.value, RayTaskError)
    assert "fail" in caught.value.traceback_str


def test_the_state_of_an_error_passes_through_nested_tasks():
    @ray.remote
    def outer():
        return ray.get(fail.remote(Named("/deep", "me")))

    with pytest.raises(Named) as caught:
        ray.get(outer.remote())
    assert told(caught.value) == (2, "/deep", "me")


def test_a_stop_iteration_ends_nobodys_loop():
    async def wait():
        return await fail.remote(StopIteration(3))

    with pytest.raises(RuntimeError, match="StopIteration") as awaited:
        asyncio.run(wait())
    assert awaited.value.__cause__.value == 3
    with pytest.raises(StopIteration) as caught:
        ray.get(fail.remote(StopIteration(3)))
    assert caught.value.value == 3


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "open"])
def test_a_dataclass_with_slots_keeps_its_fields(frozen, engine):
    """Whether it has slots there or not."""
    @dataclasses.dataclass(frozen=frozen, slots=True)
    class Sized(Exception):
        code: int
        text: str = "x"

    @ray.remote
    def back(error):
        return error, (error.code, error.text), Sized(4)

    @ray.remote
    def fails():
        raise Sized(5, text="y")

    given, seen, made = ray.get(back.remote(Sized(3, "z")))
    assert (given, seen, made) == (Sized(3, "z"), (3, "z"), Sized(4))
    if frozen and engine == "inline":
        return  # Python's contextlib sets its traceback, which its class does not let be set
    with pytest.raises(Sized) as raised:
        ray.get(fails.remote())
    assert (raised.value.code, raised.value.text) == (5, "y")
