"""References and handles of a cluster that has ended raise at once, wherever they are used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import nbray as ray
from nbray.exceptions import RaySystemError

ENDED = r"belongs to a cluster that has ended \(nbray\.shutdown\(\) was called\).*make it again"


@ray.remote(num_cpus=0.1)
def same(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self, *args: Any) -> None: ...

    def add(self, *args: Any) -> int:
        return len(args)


def test_a_function_is_at_home_in_every_cluster() -> None:
    """What it was pickled to, its large form in the store among it, was the first cluster's."""
    data = bytes(2_000_000)
    function = ray.remote(lambda: len(data))
    for _ in range(2):
        ray.init(num_cpus=1, include_dashboard=False)
        with pytest.warns(UserWarning, match="takes 'data'"):
            assert ray.get(function.remote(), timeout=60) == 2_000_000
        ray.shutdown()


class Old:
    """What an ended cluster leaves behind."""

    def __init__(self) -> None:
        self.large = ray.put(bytes(200_000))
        self.small = ray.put(1)
        self.result = same.remote(1)
        self.handle = Counter.remote()
        self.call = self.handle.add.remote()
        self.pool = ray.util.ActorPool([self.handle])
        (self.nested,) = ray.get([same.remote([self.small])])[0][0][0]
        ray.get([self.result, self.call])
        self.method = self.handle.add


@pytest.fixture(scope="module", params=["none", "another", "inline"])
def old(request: pytest.FixtureRequest) -> Iterator[Old]:
    """Of a cluster that has ended; then there is none, another, or an inline one."""
    ray.shutdown()
    ray.init(num_cpus=1, include_dashboard=False)
    left = Old()
    ray.shutdown()
    if request.param != "none":
        engine = "inline" if request.param == "inline" else "native"
        ray.init(num_cpus=1, engine=engine, include_dashboard=False)
    yield left
    assert ray.is_initialized() == (request.param != "none"), "nothing starts by itself"
    ray.shutdown()


async def awaited(ref: Any) -> Any:
    return await ref


USES: dict[str, Callable[[Old], Any]] = {
    "get": lambda old: ray.get(old.large),
    "get small": lambda old: ray.get(old.small, timeout=60),
    "get a result": lambda old: ray.get(old.result),
    "get a call's": lambda old: ray.get(old.call),
    "get what was nested": lambda old: ray.get(old.nested),
    "get of a list": lambda old: ray.get([old.small, old.large]),
    "wait": lambda old: ray.wait([old.large]),
    "wait for several": lambda old: ray.wait([old.large, old.result], num_returns=2, timeout=60),
    "argument": lambda old: same.remote(old.large),
    "keyword": lambda old: same.remote(key=old.small),
    "in a list": lambda old: same.remote([1, [old.small]]),
    "in a dictionary": lambda old: same.remote({"a": {"b": old.result}}),
    "a handle as argument": lambda old: same.remote(old.handle),
    "a handle in a list": lambda old: same.remote([old.handle]),
    "put": lambda old: ray.put([old.small]),
    "put a handle": lambda old: ray.put({"actor": old.handle}),
    "handle": lambda old: old.handle.add.remote(),
    "handle with arguments": lambda old: old.handle.add.remote(old.small),
    "a method that was kept": lambda old: old.method.remote(1),
    "method with options": lambda old: old.method.options(num_returns=1).remote(),
    "kill": lambda old: ray.kill(old.handle),
    "cancel": lambda old: ray.cancel(old.result),
    "future": lambda old: old.large.future().result(timeout=60),
    "await": lambda old: asyncio.run(awaited(old.result)),
    "in a closure": lambda old: ray.remote(lambda: ray.get(old.large)).remote(),
    "a handle in a closure": lambda old: ray.remote(lambda: old.handle.add.remote()).remote(),
    "an actor's argument": lambda old: Counter.remote([old.small]),
    "as_completed": lambda old: list(ray.as_completed([old.result])),
    "a pool": lambda old: old.pool.submit(lambda actor, x: actor.add.remote(x), 1),
    "a map's function": lambda old: list(ray.util.map(lambda x: ray.get(old.large), [1])),
    "a map's items": lambda old: list(ray.util.map(str, [old.small])),
}


@pytest.mark.parametrize("use", list(USES))
def test_it_raises_at_once(old: Old, use: str) -> None:
    began = time.monotonic()
    with pytest.raises(RaySystemError, match=ENDED):
        USES[use](old)
    assert time.monotonic() - began < 20, "not after a time-out"


def test_what_does_not_use_them_works(old: Old) -> None:
    assert repr(old.large)
    assert repr(old.handle)
    assert len({old.large, old.small, old.handle}) == 3
    if ray.is_initialized():
        assert ray.get(same.remote(2)) == ((2,), {})
