"""Remote functions without an engine: signatures, names, pickling."""

from __future__ import annotations

import inspect
import linecache
import math

import cloudpickle
import pytest

from nbray import session
from nbray.engines.scripted import ScriptedEngine
from nbray.remote import RemoteFunction, Shape, remote, short_name, source_of


class Recorder(ScriptedEngine):
    """Notes what it is asked for."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def submit(self, function, args, kwargs, options):
        self.calls.append((function, args, kwargs, options))
        return [f"ref {number}" for number in range(options.num_returns)]


@pytest.fixture
def engine():
    before, started = session.current(), session.started_with()
    recorder = Recorder()
    session.install(recorder)
    yield recorder
    session.install(before, started)


@pytest.mark.parametrize(
    ("function", "least", "most"),
    [
        (lambda: 0, 0, 0),
        (lambda a, b: 0, 2, 2),
        (lambda a, b=1: 0, 1, 2),
        (lambda a, *rest: 0, 1, math.inf),
        (lambda a, *, k=1: 0, 1, 1),
        (lambda a, **more: 0, 1, 1),
    ],
)
def test_shapes(function, least, most):
    shape = Shape(function, "f")
    assert (shape.least, shape.most) == (least, most)


def test_a_required_keyword_is_always_checked():
    shape = Shape(lambda a, *, k: 0, "f")
    assert not shape.least <= 1 <= shape.most
    shape.check((1,), {"k": 2})
    with pytest.raises(TypeError, match=r"f\(\) missing a required.*'k'"):
        shape.check((1,), {})


def test_a_callable_without_signature_is_not_checked():
    shape = Shape(min, "min")
    assert (shape.signature, shape.least, shape.most) == (None, 0, math.inf)
    shape.check((1, 2, 3), {"anything": 1})


def test_a_method_is_checked_without_self():
    shape = Shape(lambda self, a: 0, "m", skip_first=True)
    assert (shape.least, shape.most) == (1, 1)
    assert Shape(lambda *args: 0, "m", skip_first=True).most == math.inf


def test_what_remote_returns(engine):
    function = remote(lambda: 0)
    assert function.remote() == "ref 0"
    assert function.options(num_returns=2).remote() == ["ref 0", "ref 1"]
    assert function.options(num_returns=0).remote() is None


def test_one_function_object_for_all_calls(engine):
    function = remote(lambda x: x)
    function.remote(1)
    function.options(num_cpus=2).remote(2)
    assert engine.calls[0][0] is engine.calls[1][0]
    assert [call[3].num_cpus for call in engine.calls] == [1, 2]


def test_a_refused_call_reaches_no_engine(engine):
    with pytest.raises(TypeError):
        remote(lambda x: x).remote()
    assert engine.calls == []


def test_decorating_twice_is_refused():
    with pytest.raises(TypeError, match="remote already"):
        remote(remote(lambda: 0))


def test_a_restored_function_is_the_same_to_its_user(engine):
    @remote(num_cpus=3)
    def area(a, b=2):
        """Area."""
        return a * b

    again = cloudpickle.loads(cloudpickle.dumps(area))
    assert isinstance(again, RemoteFunction)
    assert again._function(3) == 6
    assert again._options.num_cpus == 3
    assert repr(again) == "RemoteFunction(area)"
    with pytest.raises(TypeError):
        again.remote()


def test_a_function_that_refers_to_itself_can_be_restored(engine):
    @remote
    def fact(n, one=1):
        return one if n == 0 else fact._function(n - 1) * n

    again = cloudpickle.loads(cloudpickle.dumps(fact._function))
    assert again(5) == 120
    inner = inspect.getclosurevars(again).nonlocals["fact"]
    inner.remote(3)
    with pytest.raises(TypeError):
        inner.remote()


def test_short_names():
    class Local:
        def method(self):
            pass

    assert short_name(Local.method) == "Local.method"
    assert short_name(test_short_names) == "test_short_names"


def test_the_source_of_a_cell_is_known_and_of_a_file_is_not():
    text = "def from_a_cell():\n    return 1\n"
    name = "<nbray test cell>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope = {}
    exec(compile(text, name, "exec"), scope)
    try:
        assert source_of(scope["from_a_cell"]) == text
    finally:
        del linecache.cache[name]
    linecache.getlines(__file__)
    assert source_of(test_short_names) == ""
    assert source_of(len) == ""
