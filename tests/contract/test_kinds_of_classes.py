"""Classes and functions that Ray takes, and what is true of every worker."""

from __future__ import annotations

import abc
import asyncio
import functools
import multiprocessing
import os
import signal
import sys
import time

import pytest
from api import ray


def test_a_coroutine_as_init_runs_in_the_loop_of_the_calls():
    @ray.remote(num_cpus=0)
    class A:
        async def __init__(self, start):
            await asyncio.sleep(0.01)
            self.queue = asyncio.Queue()
            self.task = asyncio.create_task(self.feed(start))

        async def feed(self, start):
            for number in range(start, start + 3):
                await self.queue.put(number)

        async def take(self):
            return await self.queue.get()

    actor = A.remote(5)
    taken = ray.get([actor.take.remote() for _ in range(3)], timeout=60)
    assert sorted(taken) == [5, 6, 7]


def test_a_coroutine_as_init_that_raises():
    @ray.remote(num_cpus=0)
    class A:
        async def __init__(self):
            raise OSError("no such model")

        def ready(self):
            return True

    with pytest.raises(ray.exceptions.ActorDiedError, match="no such model"):
        ray.get(A.remote().ready.remote(), timeout=60)


class Base:
    LIMIT = 7

    def __init__(self, x):
        self.x = x

    def value(self):
        return self.x


def test_constants_and_static_methods_of_a_remote_class():
    Remote = ray.remote(Base)
    assert Remote.LIMIT == 7
    assert Remote.options(num_cpus=0).LIMIT == 7
    with pytest.raises(AttributeError, match="LIMITS"):
        _ = Remote.LIMITS
    assert not hasattr(Remote, "__wrapped_by__")


def add(self, a, b):
    """Adds."""
    return a + b + self.x


def test_partial_methods():
    class P(Base):
        more = functools.partialmethod(add, 1)

    actor = ray.remote(num_cpus=0)(P).remote(1)
    assert ray.get(actor.more.remote(2)) == 4
    assert ray.get(actor.more.remote(b=3)) == 5


@pytest.mark.concurrent  # inline, the class is the user's own
class Functools:
    """Methods that functools has wrapped, and arguments with the names of nbray's own."""

    made = 0

    @functools.lru_cache(maxsize=8)  # noqa: B019 - an actor's process goes with it
    def squared(self, value):
        self.made += 1
        return value**2, self.made

    @functools.cache  # noqa: B019
    def nothing(self):
        return "nothing"

    @functools.singledispatchmethod
    def kind(self, value):
        return "thing"

    @kind.register
    def _(self, value: int):
        return "int"

    def named(this, self=None, name=None, args=None, **more):
        return self, name, args, more


def test_methods_that_functools_has_wrapped():
    actor = ray.remote(Functools).remote()
    assert ray.get([actor.squared.remote(i) for i in (3, 3, 4)]) == [(9, 1), (9, 1), (16, 2)]
    assert ray.get(actor.nothing.remote()) == "nothing"
    assert ray.get([actor.kind.remote(value) for value in (1, "")]) == ["int", "thing"]
    with pytest.raises(TypeError, match="value"):
        actor.squared.remote()


def test_arguments_of_methods_may_have_any_name():
    actor = ray.remote(Functools).remote()
    got = ray.get(actor.named.remote(self=1, name=2, args=3, method=4, options=5))
    assert got == (1, 2, 3, {"method": 4, "options": 5})


def test_abstract_classes():
    class Base(abc.ABC):
        @abc.abstractmethod
        def f(self): ...

        def g(self):
            return self.f() + 1

    class Made(Base):
        def f(self):
            return 1

    with pytest.raises(TypeError, match="Can't instantiate abstract class"):
        ray.remote(Base)
    assert ray.get(ray.remote(num_cpus=0)(Made).remote().g.remote(), timeout=60) == 2


def test_super_of_the_remote_class_by_name():
    @ray.remote(num_cpus=0)
    class Kid(Base):
        def __init__(self, x):
            super().__init__(x)

        def value(self):
            return super().value() + super().value() + Kid.LIMIT

    assert ray.get(Kid.remote(1).value.remote(), timeout=60) == 9


@pytest.mark.parametrize(
    ("base", "args", "expected"),
    [(set, ([1, 2],), [1, 2]), (dict, ({"a": 1},), ["a"]), (list, ([3],), [3]),
     (Exception, ("e",), None), (tuple, ([4],), [4])],
)  # fmt: skip
def test_builtin_bases(base, args, expected):
    class K(base):
        def listed(self):
            return sorted(self) if expected is not None else None

    assert ray.get(ray.remote(num_cpus=0)(K).remote(*args).listed.remote()) == expected


def test_the_running_actor_without_a_name():
    @ray.remote(num_cpus=0)
    class A:
        def me(self):
            return ray.get_runtime_context().current_actor

        def value(self):
            return 7

    actor = A.remote()
    itself = ray.get(actor.me.remote())
    assert itself == actor
    assert ray.get(itself.value.remote()) == 7
    with pytest.raises(RuntimeError, match="only available in an actor"):
        _ = ray.get_runtime_context().current_actor


@pytest.mark.own
@pytest.mark.concurrent
def test_all_workers_agree_on_hashes():
    @ray.remote
    def hashes():
        time.sleep(0.2)
        return os.getpid(), hash("key"), hash(("a", "b"))

    found = ray.get([hashes.remote() for _ in range(4)])
    assert len({one[1:] for one in found}) == 1


@pytest.mark.own
@pytest.mark.concurrent
def test_a_forked_process_of_a_task_takes_interrupts_as_any():
    @ray.remote
    def forks():
        forking = multiprocessing.get_context("fork")
        begun = forking.Event()
        child = forking.Process(target=quiet, args=(begun,))
        child.start()
        begun.wait(60)
        os.kill(child.pid, signal.SIGINT)
        child.join(60)
        return child.exitcode

    def quiet(begun):
        try:
            begun.set()
            time.sleep(60)
        except KeyboardInterrupt:
            os._exit(7)

    assert ray.get(forks.remote(), timeout=60) == 7


class Forks:
    """Forks, and comes back in both processes."""

    def __init__(self, end=""):
        self.code = self.fork(end) if end else None

    def fork(self, end):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if end == "raise":
            raise ValueError("in the other process")
        if end == "exit":
            sys.exit(7)
        return "of the other process"

    def known(self):
        return self.code


class ForksAsync(Forks):
    async def fork(self, end):
        return super().fork(end)


@pytest.mark.own
@pytest.mark.concurrent
@pytest.mark.parametrize(("end", "code"), [("return", 0), ("raise", 1), ("exit", 7)])
def test_a_forked_process_that_comes_back_ends_and_does_none_of_the_workers_work(end, code):
    @ray.remote
    def forks():
        return Forks().fork(end)

    @ray.remote
    def same(value):
        return value

    plain = ray.remote(Forks)
    assert ray.get(forks.remote(), timeout=60) == code
    assert ray.get([same.remote(i) for i in range(50)], timeout=60) == list(range(50))
    born = plain.remote(end)
    assert ray.get([born.known.remote(), born.fork.remote(end)], timeout=60) == [code, code]
    several = plain.options(max_concurrency=2).remote()
    assert ray.get(several.fork.remote(end), timeout=60) == code
    coroutines = ray.remote(ForksAsync).remote()
    assert ray.get(coroutines.fork.remote(end), timeout=60) == code
    for actor in (born, several, coroutines):
        assert ray.get([actor.known.remote() for _ in range(50)], timeout=60)
