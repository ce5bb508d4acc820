"""Definitions of `__main__` by value: any shape does what it did, and lets go of what it took."""

from __future__ import annotations

import copyreg
import enum
import functools
import gc
import operator
import typing
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from cloudpickle import cloudpickle
from hypothesis import given
from hypothesis import strategies as st

from nbray import byvalue, definitions
from nbray.wire.pickling import pack, unpack


def travel(thing: Any) -> Any:
    return unpack(pack(thing).join(), lambda owner, seq: None)  # type: ignore[arg-type, return-value]


def main(text: str) -> dict[str, Any]:
    """The names that a program's *text* defines, as if they were `__main__`'s."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(text, space)
    return space


class Held:
    """Something that a definition takes along."""

    all: ClassVar[weakref.WeakSet[Held]] = weakref.WeakSet()

    def __init__(self, value: int) -> None:
        self.value = value
        self.all.add(self)

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(**state)  # type: ignore[misc]


# -- shapes of definitions --------------------------------------------------------------------

START = """
import functools
def plus(call):
    @functools.wraps(call)
    def inner(*args, **kwargs): return call(*args, **kwargs) + 1
    return inner
def counted(times):
    def around(call):
        count = 0
        @functools.wraps(call)
        def inner(*args, **kwargs):
            nonlocal count
            count += 1
            return call(*args, **kwargs) * times
        return inner
    return around
"""
DECORATORS = [
    "functools.cache", "functools.lru_cache", "functools.lru_cache(maxsize=2, typed=True)", "plus",
    "counted(3)",
]  # fmt: skip
CAPTURES = {
    "global": "{deco}\ndef call(x): return x + held.value\n",
    "default": "{deco}\ndef call(x, h=held): return x + h.value\n",
    "keyword": "{deco}\ndef call(x, *, h=held): return x + h.value\n",
    "closure": (
        "def outer(h):\n    {deco}\n    def call(x): return x + h.value\n    return call\n"
        "call = outer(held)\n"
    ),
    "recursive": "{deco}\ndef call(x): return call(x - 1) if x > 5 else x + held.value\n",
    "generic": (
        "@functools.singledispatch\ndef call(x): return 0\n"
        "@call.register(int)\n{deco}\ndef _(x): return x + held.value\n"
    ),
    "attribute": (
        "{deco}\ndef call(x): return x + inner.held.value\ninner = call\ncall.held = held\n"
    ),
}
FORMS = {
    "itself": "got = call",
    "partial": "got = functools.partial(call, 3)",
    "nested": "got = functools.partial(functools.partial(call), 3)",
    "lambda": "got = lambda *args: call(*args)",
    "container": "got = {'a': [call, call]}['a'][0]",
    "method": "class A:\n    f = staticmethod(call)\ngot = A().f",
    "bound": "class A:\n    def f(self, *args): return call(*args)\ngot = A().f",
    "kept": (
        "class A:\n    @functools.cached_property\n    def f(self): return call(3)\n"
        "a = A()\ngot = lambda *args: (a.f, a.f)[1]"
    ),
    "partialmethod": (
        "class A:\n    def g(self, x): return call(x)\n"
        "    f = functools.partialmethod(g, 3)\ngot = A().f"
    ),
    "dispatch": (
        "class A:\n    @functools.singledispatchmethod\n    def f(self, x=3): return call(x)\n"
        "    @f.register\n    def _(self, x: str): return 0\ngot = A().f"
    ),
    "classmethod": (
        "class A:\n    @classmethod\n    def f(cls, *args): return call(*args)\ngot = A.f"
    ),
}


@st.composite
def programs(draw: Any) -> str:
    capture = draw(st.sampled_from(sorted(CAPTURES)))
    decorators = draw(st.lists(st.sampled_from(DECORATORS), max_size=3))
    indent = "    " if capture == "closure" else ""
    deco = f"\n{indent}".join(f"@{one}" for one in decorators) or "@(lambda call: call)"
    return START + CAPTURES[capture].format(deco=deco) + FORMS[draw(st.sampled_from(sorted(FORMS)))]


@given(programs(), st.integers(0, 9))
def test_every_shape_of_definition_does_what_it_did_and_lets_go(text: str, value: int) -> None:
    space: dict[str, Any] = {"__name__": "__main__", "held": Held(value)}
    exec(text, space)
    got = space["got"]
    args = () if isinstance(got, functools.partial) else (3,)
    if "partialmethod(g" in text:
        args = ()
    expected = got(*args)
    packed = pack(got)
    space.clear()
    del got, space
    before = _alive()
    again = unpack(packed.join(), lambda owner, seq: None)  # type: ignore[arg-type, return-value]
    assert again(*args) == expected
    assert _alive() == before + 1  # one, however often it is met inside
    del again
    assert _alive() == before


def _alive() -> int:
    gc.collect()
    return len(Held.all)


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> Iterator[None]:
    """What was there before need not be looked at every time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


# -- one by one -----------------------------------------------------------------------------------


def test_caches_arrive_empty_and_as_they_were_made() -> None:
    space = main(
        "import functools\n@functools.lru_cache(maxsize=3, typed=True)\n"
        "def f(x):\n    'Says x.'\n    return x\nf.extra = 5\nf(1)\n"
    )
    f = travel(space["f"])
    assert f.cache_info() == (0, 0, 3, 0)
    assert f.cache_parameters() == {"maxsize": 3, "typed": True}
    assert (f.__name__, f.__doc__, f.extra, f.__wrapped__(2)) == ("f", "Says x.", 5, 2)
    assert [f(1), f(1), f.cache_info().hits] == [1, 1, 1]


def test_what_can_be_imported_travels_by_name() -> None:
    import fractions

    cached = fractions.Fraction  # a module's own
    assert travel(cached) is cached
    assert travel(str) is str
    assert travel(operator.itemgetter(1))([4, 5]) == 5
    import re

    data = pack(re._compiler.compile).join()  # type: ignore[attr-defined]
    assert len(data) < 100
    assert travel(module_cache) is module_cache
    assert travel(module_generic) is module_generic
    assert travel(ModuleDict) is ModuleDict
    assert travel(ModuleId) is ModuleId


@functools.cache
def module_cache(x: int) -> int:
    return x


@functools.singledispatch
def module_generic(x: Any) -> str:
    return "thing"


class ModuleDict(typing.TypedDict):
    a: int


ModuleId = typing.NewType("ModuleId", int)


def test_generic_functions_keep_their_register() -> None:
    space = main(
        "import functools\n@functools.singledispatch\ndef f(x): return 'thing'\n"
        "class Own: pass\n"
        "@f.register\ndef _(x: Own): return 'own'\n"
        "@f.register(list)\n@f.register(tuple)\ndef _(x): return [f(one) for one in x]\n"
        "f.note = 7\n"
    )
    f, own = travel((space["f"], space["Own"]))
    assert f([own(), (3,)]) == ["own", ["thing"]]
    assert (f.note, f.__name__, f.dispatch(own)(None)) == (7, "f", "own")
    f.register(str, lambda x: "text")
    assert f("") == "text"


def test_types_of_typing() -> None:
    space = main(
        "import typing\n"
        "class A(typing.TypedDict, total=False):\n    'Doc.'\n    a: int\n"
        "class B(A):\n    b: typing.Required[str]\n    c: 'B'\n"
        "N = typing.NewType('N', int)\nM = typing.NewType('M', N)\n"
        "P = typing.ParamSpec('P')\nTs = typing.TypeVarTuple('Ts')\n"
        "def f(x: M, *args: P.args, **kwargs: P.kwargs) -> tuple[typing.Unpack[Ts]]: return x\n"
    )
    b = travel(space["B"])
    assert b(a=1, b="x") == {"a": 1, "b": "x"}
    assert (b.__required_keys__, b.__optional_keys__) == ({"b", "c"}, {"a"})
    assert (b.__name__, b.__module__, travel(space["A"]).__doc__) == ("B", "__main__", "Doc.")
    assert typing.is_typeddict(b)
    m = travel(space["M"])
    assert (m(4), m.__supertype__.__name__, m.__qualname__) == (4, "N", "M")
    assert travel(space["f"])(5) == 5
    assert repr(travel(space["Ts"])) == "Ts"


def test_objects_that_reduce_to_a_name_are_one_in_each_process() -> None:
    space = main(
        "class Constant:\n"
        "    def __init__(self, name, value): self.name, self.value = name, value\n"
        "    def __reduce__(self): return self.name\n"
        "class Slots:\n    __slots__ = ('value',)\n    def __reduce_ex__(self, _): return 'slots'\n"
        "one, two, slots = Constant('one', 1), Constant('two', 2), Slots()\nslots.value = 3\n"
    )
    one, again, two, slots = travel([space[name] for name in ("one", "one", "two", "slots")])
    assert one is again is travel(space["one"])
    assert two is not one
    assert (one.value, two.value, slots.value) == (1, 2, 3)
    one.value = 9  # what has changed here stays so
    assert travel(space["one"]).value == 9


def test_objects_that_say_themselves_how_they_are_pickled_are_asked_as_ever() -> None:
    space = main(
        "import enum, collections\n"
        "class Pair:\n"
        "    def __init__(self, a): self.a = a\n"
        "    def __reduce__(self): return Pair, (self.a + 1,)\n"
        "class Queue(collections.deque): pass\n"
        "class Color(enum.Enum): RED = 1\n"
        "@enum.global_enum\nclass Flag(enum.IntFlag):\n    UP = 1\n    DOWN = 2\n"
        "class Sent:\n    pass\n"
    )
    assert travel(space["Pair"](1)).a == 2
    assert list(travel(space["Queue"]([1, 2]))) == [1, 2]
    assert travel(space["Color"].RED) is space["Color"].RED
    assert travel(space["Flag"].UP) is space["Flag"].UP
    sent = space["Sent"]
    copyreg.pickle(sent, lambda one: (sent, ()))
    assert isinstance(travel(sent()), sent)


def test_an_enum_of_a_module_is_not_asked() -> None:
    assert travel(enum.EnumCheck.UNIQUE) is enum.EnumCheck.UNIQUE
    assert byvalue.reduced_by_value(enum.EnumCheck) is NotImplemented


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_trial_measures_without_copying(size: int) -> None:
    assert definitions.trial(bytearray(size)) >= size
    with pytest.raises(TypeError):
        definitions.trial(one for one in "ab")
    kept = weakref.ref(held := Held(1))
    definitions.trial(held)
    del held
    assert kept() is None


# -- enumerations -----------------------------------------------------------------------------

ENUMERATIONS = """
import dataclasses, enum

class Planet(enum.Enum):
    EARTH = 5.9, 6.3
    MARS = 6.4, 3.3
    WORLD = 5.9, 6.3
    def __init__(self, mass, radius):
        self.mass, self.radius, self.kin = mass, radius, type(self)
    @property
    def density(self): return self.mass / self.radius

class Coordinate(bytes, enum.Enum):
    def __new__(cls, value, label):
        made = bytes.__new__(cls, [value])
        made._value_, made.label = value, label
        return made
    X = 0, "across"
    Y = 1, "up"

class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE

class Kept(enum.IntFlag, boundary=enum.KEEP):
    ONE = 1
    MANY = 6

class Level(int, enum.Enum):
    LOW = 1
    HIGH = 2
    TOP = 2
    def __init__(self, number): self.twice = 2 * number

class Pair(tuple, enum.Enum):
    FIRST = (1, 2)

@dataclasses.dataclass
class Size:
    width: int
    height: int = 1

class Paper(Size, enum.Enum):
    A4 = 210, 297
"""


@pytest.mark.parametrize(
    "what",
    [
        "Planet.MARS.mass, Planet.MARS.density, Planet['WORLD'] is Planet.EARTH",
        "list(Planet.__members__), len(Planet), Planet.EARTH.value, Planet((6.4, 3.3)).name",
        "Planet.MARS.kin is Planet, isinstance(Planet.MARS, Planet)",
        "Coordinate.Y.label, bytes(Coordinate.Y), Coordinate(1) is Coordinate.Y",
        "Rights.BOTH is Rights.READ | Rights.WRITE, len(Rights), str(Rights.BOTH)",
        "~Rights.READ is Rights.WRITE, Rights(3) is Rights.BOTH",
        "repr(Kept(9)), int(Kept.MANY | 8), Kept(6) is Kept.MANY",
        "Level.HIGH > Level.LOW, Level.TOP is Level.HIGH, Level.HIGH.twice, Level.LOW + 1",
        "Pair.FIRST.value, tuple(Pair.FIRST), Pair((1, 2)) is Pair.FIRST",
        "Paper.A4.width, Paper.A4.height, Paper['A4'] is Paper.A4",
    ],
)
def test_enumerations_are_what_they_were(what: str) -> None:
    space = main(f"{ENUMERATIONS}\ndef told(): return {what}")
    here = space["told"]()
    data = pack(space["told"]).join()
    cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()  # as in another process
    assert repr(unpack(data, _no_refs)()) == repr(here)


def test_a_member_that_comes_back_is_the_same_and_what_it_has_learnt_stays() -> None:
    space = main(ENUMERATIONS)
    for member in (*space["Planet"], space["Rights"].BOTH, space["Level"].TOP):
        assert travel(member) is member
    data = pack(space["Planet"]).join()
    space["Planet"].MARS.mass = 7
    assert unpack(data, _no_refs) is space["Planet"]
    assert space["Planet"].MARS.mass == 7


def _no_refs(owner: int, seq: int) -> Any:
    raise AssertionError((owner, seq))
