"""Actors: state, order, names, handles, async methods, ends."""

from __future__ import annotations

import asyncio
import gc
import inspect

import pytest
from api import ray


def test_an_actor_keeps_its_state(Counter):
    counter = Counter.remote()
    for _ in range(3):
        counter.add.remote()
    assert ray.get(counter.read.remote()) == 3


def test_actors_are_apart_from_each_other(Counter):
    counters = [Counter.remote(i) for i in range(4)]
    for counter in counters:
        counter.add.remote(10)
    assert ray.get([counter.read.remote() for counter in counters]) == [10, 11, 12, 13]


def test_calls_run_in_order(Counter):
    counter = Counter.remote()
    assert ray.get([counter.add.remote() for _ in range(200)]) == list(range(1, 201))


def test_arguments_of_init(Counter):
    assert ray.get(Counter.remote(start=5).read.remote()) == 5
    assert ray.get(Counter.remote(ray.put(6)).read.remote()) == 6


def test_calls_that_do_not_fit_are_refused_at_once(Counter):
    with pytest.raises(TypeError, match="too many positional arguments"):
        Counter.remote(1, 2)
    counter = Counter.remote()
    with pytest.raises(TypeError, match="too many positional arguments"):
        counter.add.remote(1, 2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'unknown'"):
        counter.add.remote(unknown=2)


def test_references_as_arguments_of_methods(Counter):
    counter = Counter.remote()
    ref = counter.add.remote(1)
    assert ray.get(counter.add.remote(ref)) == 2


def test_an_unknown_method_is_an_attribute_error(Counter):
    counter = Counter.remote()
    with pytest.raises(AttributeError, match="did you mean 'read'"):
        counter.raed  # noqa: B018 - the error is the point


def test_neither_class_nor_method_can_be_called_directly(Counter):
    with pytest.raises(TypeError, match=r"Counter\.remote"):
        Counter()
    with pytest.raises(TypeError, match=r"read\.remote"):
        Counter.remote().read()


def test_an_actor_class_cannot_be_inherited_from(Counter):
    with pytest.raises(TypeError, match="inherit"):

        class More(Counter):
            pass


def test_inheritance_below_the_actor_class():
    class Base:
        def __init__(self, x):
            self.x = x

        def base(self):
            return self.x

    @ray.remote
    class Derived(Base):
        def __init__(self, x):
            super().__init__(x + 1)

        def derived(self):
            return self.base() + 1

    actor = Derived.remote(1)
    assert ray.get([actor.base.remote(), actor.derived.remote()]) == [2, 3]


def test_static_and_class_methods():
    @ray.remote
    class Tools:
        factor = 3

        @staticmethod
        def double(x):
            return 2 * x

        @classmethod
        def scaled(cls, x):
            return cls.factor * x

    tools = Tools.remote()
    assert ray.get([tools.double.remote(2), tools.scaled.remote(2)]) == [4, 6]


def test_a_class_without_init():
    @ray.remote
    class Empty:
        def hello(self):
            return "hello"

    assert ray.get(Empty.remote().hello.remote()) == "hello"
    with pytest.raises(TypeError):
        Empty.remote(1)


def test_several_returns_of_a_method():
    @ray.remote
    class Splitter:
        @ray.method(num_returns=2)
        def split(self, text):
            return text.split(",")

        def whole(self, text):
            return text.split(",")

    splitter = Splitter.remote()
    first, second = splitter.split.remote("a,b")
    assert ray.get([first, second]) == ["a", "b"]
    assert ray.get(splitter.whole.options(num_returns=3).remote("a,b,c")) == ["a", "b", "c"]
    assert splitter.whole.options(num_returns=0).remote("a") is None


def test_unknown_options_of_actors(Counter):
    with pytest.raises(ValueError, match="max_restarts"):
        Counter.options(max_restart=1)


@pytest.mark.own
def test_unknown_options_of_methods_are_refused_at_once(Counter):
    with pytest.raises(ValueError, match="num_returns"):
        Counter.remote().read.options(num_return=1)
    with pytest.raises(TypeError, match="@method"):
        ray.method(1)


def test_a_handle_as_an_argument(Counter):
    @ray.remote
    def work(counter, times):
        return ray.get([counter.add.remote() for _ in range(times)])[-1]

    counter = Counter.remote()
    assert ray.get(work.remote(counter, 5)) == 5
    assert ray.get(work.remote(counter, 5)) == 10


def test_a_handle_inside_a_value(Counter):
    counter = Counter.remote(7)
    again = ray.get(ray.put({"counter": counter}))["counter"]
    assert again == counter
    assert ray.get(again.read.remote()) == 7


def test_a_handle_keeps_the_actor_alive_in_a_value(Counter):
    ref = ray.put([Counter.remote(7)])
    gc.collect()
    assert ray.get(ray.get(ref)[0].read.remote()) == 7


def test_an_actor_made_by_a_task(Counter):
    @ray.remote
    def make():
        counter = Counter.remote(3)
        ray.get(counter.add.remote())  # calls of two callers have no order of their own
        return counter

    assert ray.get(ray.get(make.remote()).read.remote()) == 4


def test_an_actor_that_uses_another(Counter):
    @ray.remote
    class Outer:
        def __init__(self, counter):
            self.counter = counter

        def twice(self):
            self.counter.add.remote()
            return ray.get(self.counter.add.remote())

    assert ray.get(Outer.remote(Counter.remote()).twice.remote()) == 2


def test_an_actor_that_runs_tasks():
    @ray.remote
    def double(x):
        return 2 * x

    @ray.remote
    class Mapper:
        def map(self, values):
            return ray.get([double.remote(value) for value in values])

    assert ray.get(Mapper.remote().map.remote([1, 2])) == [2, 4]


def test_a_reference_that_an_actor_put():
    @ray.remote
    class Keeper:
        def __init__(self):
            self.ref = ray.put("kept")

        def give(self):
            return [self.ref]

    keeper = Keeper.remote()
    assert ray.get(ray.get(keeper.give.remote())[0]) == "kept"


# -- async


def test_async_methods_overlap():
    @ray.remote
    class Meeting:
        def __init__(self):
            self.come = asyncio.Event()

        async def wait(self):
            await self.come.wait()
            return "met"

        async def open(self):
            self.come.set()

    meeting = Meeting.remote()
    waiting = [meeting.wait.remote() for _ in range(10)]
    meeting.open.remote()
    assert ray.get(waiting, timeout=60) == ["met"] * 10


def test_sync_methods_of_an_async_actor():
    @ray.remote
    class Mixed:
        def __init__(self):
            self.n = 0

        async def add(self):
            await asyncio.sleep(0)
            self.n += 1

        def read(self):
            return self.n

    mixed = Mixed.remote()
    ray.get([mixed.add.remote() for _ in range(5)])
    assert ray.get(mixed.read.remote()) == 5


def test_await_inside_an_async_actor(Counter):
    @ray.remote
    class Asker:
        async def ask(self, counter):
            return await counter.add.remote() + await counter.add.remote()

    assert ray.get(Asker.remote().ask.remote(Counter.remote()), timeout=60) == 3


def test_an_error_in_an_async_method():
    @ray.remote
    class Bad:
        async def fail(self):
            await asyncio.sleep(0)
            raise KeyError("async")

    with pytest.raises(KeyError, match="async"):
        ray.get(Bad.remote().fail.remote())


def test_max_concurrency_of_an_async_actor():
    @ray.remote
    class Narrow:
        def __init__(self):
            self.now = self.most = 0

        async def work(self):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.01)
            self.now -= 1
            return self.most

    narrow = Narrow.options(max_concurrency=2).remote()
    assert max(ray.get([narrow.work.remote() for _ in range(8)])) == 2


def test_cancelling_an_awaiting_call():
    @ray.remote
    class Sleeper:
        async def sleep(self):
            await asyncio.sleep(600)

        async def ping(self):
            return "pong"

    sleeper = Sleeper.remote()
    ref = sleeper.sleep.remote()
    assert ray.get(sleeper.ping.remote()) == "pong"
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
    assert ray.get(sleeper.ping.remote()) == "pong"


def test_get_of_an_awaiting_call_runs_out_of_time():
    @ray.remote
    class Sleeper:
        async def sleep(self):
            await asyncio.sleep(600)

    sleeper = Sleeper.remote()
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(sleeper.sleep.remote(), timeout=0.1)


# -- context and introspection


def test_the_runtime_context_of_an_actor():
    @ray.remote(num_cpus=1)
    class Who:
        def who(self):
            context = ray.get_runtime_context()
            return (
                context.get_actor_id(),
                context.get_actor_name(),
                context.was_current_actor_reconstructed,
                context.get_assigned_resources(),
            )

    who = Who.options(name="who").remote()
    actor, name, again, resources = ray.get(who.who.remote())
    assert actor == who._actor_id.hex()
    assert (name, again, resources) == ("who", False, {"CPU": 1.0})


def test_current_actor():
    @ray.remote
    class Named:
        def me(self):
            return ray.get_runtime_context().current_actor

    named = Named.options(name="me").remote()
    assert ray.get(named.me.remote()) == named


def test_handles_show_methods_with_signatures(Counter):
    counter = Counter.remote()
    assert {"add", "read"} <= set(dir(counter))
    assert str(inspect.signature(counter.add)) == "(amount=1)"
    assert "Add and tell." in counter.add.__doc__
    assert Counter.__doc__ == "Counts."
    assert str(inspect.signature(Counter.remote)) == "(start=0)"


def test_the_methods_that_every_actor_has(Counter):
    counter = Counter.remote(4)
    assert ray.get(counter.__ray_ready__.remote()) is True
    assert ray.get(counter.__ray_call__.remote(lambda self, x: self.n + x, 1)) == 5
