"""Actor classes and handles without an engine."""

from __future__ import annotations

import cloudpickle
import pytest

from nbray import session
from nbray.actor import ActorClass, ActorHandle, method
from nbray.engine import ActorInfo
from nbray.engines.parts import NoActors
from nbray.engines.scripted import ScriptedEngine
from nbray.options import MethodOptions
from nbray.remote import remote


class Life:
    """Stands for a life reference that can be pickled."""


class Recorder(NoActors):
    def __init__(self):
        self.calls = []

    def create(self, cls, args, kwargs, options, info):
        self.calls.append(("create", args, kwargs, options))
        self.made = cls.call
        return ActorInfo(7, 8, info.class_name, info.methods, info.is_async), Life()

    def call(self, info, life, name, args, kwargs, options):
        self.calls.append((name, args, kwargs, options))
        return [f"ref {number}" for number in range(options.num_returns)]


@pytest.fixture
def engine():
    before, started = session.current(), session.started_with()
    scripted = ScriptedEngine()
    scripted.actors = Recorder()
    session.install(scripted)
    yield scripted.actors
    session.install(before, started)


@remote
class Sample:
    """A sample."""

    def __init__(self, a, b=1):
        self.a = a

    @method(num_returns=2, max_task_retries=4)
    def pair(self):
        return 1, 2

    async def later(self, x):
        return x

    def _private(self):
        return 1


def test_what_a_class_tells(engine):
    handle = Sample.options(max_task_retries=3).remote(1)
    assert isinstance(handle, ActorHandle)
    info = handle._info
    assert info.class_name == "Sample"
    assert info.is_async
    assert {"pair", "later", "_private"} <= set(info.methods)
    assert "__init__" not in info.methods
    assert info.methods["pair"] == MethodOptions(num_returns=2, max_task_retries=4)
    assert repr(Sample) == "ActorClass(Sample)"
    assert "Sample" in repr(handle)


def test_calls_carry_the_methods_options(engine):
    handle = Sample.remote(1)
    assert handle.pair.remote() == ["ref 0", "ref 1"]
    assert handle.pair.options(num_returns=1).remote() == "ref 0"
    assert handle.later.remote(x=1) == "ref 0"
    assert [call[0] for call in engine.calls] == ["create", "pair", "pair", "later"]
    assert engine.calls[1][3].max_task_retries == 4


def test_the_made_class_is_the_users(engine):
    Sample.remote(1)
    assert engine.made.__name__ == "Sample"
    assert issubclass(engine.made, Sample._class)
    assert engine.made(1).__ray_ready__() is True


def test_private_attributes_of_python_are_not_methods(engine):
    handle = Sample.remote(1)
    with pytest.raises(AttributeError):
        handle._repr_html_  # noqa: B018 - the error is the point
    assert "_private" in dir(handle)
    assert handle == ActorHandle(handle._info, None)
    assert handle != 3
    assert len({handle, ActorHandle(handle._info, None)}) == 1


def test_a_handle_travels_by_info_and_life(engine):
    handle = Sample.remote(1)
    again = cloudpickle.loads(cloudpickle.dumps(handle))
    assert again == handle
    assert isinstance(again._life, Life)
    assert again.later.remote(1, 2, 3) == "ref 0"  # only the maker knows signatures


def test_a_class_travels(engine):
    again = cloudpickle.loads(cloudpickle.dumps(Sample.options(num_cpus=2)))
    assert isinstance(again, ActorClass)
    again.remote(1)
    assert engine.calls[-1][3].num_cpus == 2


def test_a_class_that_refers_to_itself_travels(engine):
    @remote
    class Tree:
        def __init__(self, depth):
            self.depth = depth

        def grow(self):
            return Tree.remote(self.depth - 1)

    again = cloudpickle.loads(cloudpickle.dumps(Tree))
    handle = again._class(3).grow()
    assert {"grow"} <= set(handle._info.methods)
    assert engine.calls[-1][1] == (2,)


def test_options_of_method_are_checked():
    with pytest.raises(ValueError, match="num_returns"):
        method(num_return=1)
    with pytest.raises(ValueError, match="generator"):
        method(num_returns="streaming")(len)
