"""Exceptions in parts: whatever an exception is made of comes back, as a value and as an error."""

from __future__ import annotations

import abc
import dataclasses
import json
import pickle
import threading
import traceback
import urllib.error
from typing import Any, Generic, Self, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbray.exceptional import MOST_BESIDE
from nbray.exceptions import RayTaskError, told_of
from nbray.wire.failures import pack_error, unpack_error
from nbray.wire.pickling import pack, unpack

T = TypeVar("T")


def as_value(error: Any) -> Any:
    return unpack(pack(error).join(), lambda owner, seq: None)  # type: ignore[arg-type, return-value]


def as_error(error: BaseException) -> Any:
    return unpack_error(pack_error(caught(error), "f", "node-1", 42))


def caught(what: Any, *args: Any) -> BaseException:
    try:
        if isinstance(what, BaseException):
            raise what
        what(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


WAYS = pytest.mark.parametrize("travel", [as_value, as_error])

# -- what Python keeps in C ---------------------------------------------------------------

STATE = [
    (lambda: open("/does/not/exist"), ("errno", "filename", "strerror")),  # noqa: SIM115, PTH123
    (lambda: b"caf\xe9".decode(), ("object", "start", "end", "reason", "encoding")),
    (lambda: "caf\udce9".encode(), ("object", "start", "end", "reason", "encoding")),
    (lambda: __import__("no_such_module"), ("name", "path", "msg")),
    (lambda: compile("a b(", "cell.py", "exec"), ("lineno", "offset", "filename", "text", "msg")),
    (lambda: [1].nothing, ("name", "obj")),  # type: ignore[attr-defined]
    (lambda: not_there, ("name",)),  # type: ignore[name-defined]  # noqa: F821
    (lambda: json.loads("{"), ("pos", "doc", "lineno", "colno")),
    (StopIteration(7), ("value",)),
    (SystemExit(3), ("code",)),
    (KeyError("k", 2), ("args",)),
    (OSError(5, "why", "one", None, "two"), ("errno", "filename", "filename2")),
    (BlockingIOError(11, "why", 9), ("characters_written",)),
    (urllib.error.HTTPError("http://x", 404, "gone", {}, None), ("code", "url")),  # type: ignore[arg-type]
]


@WAYS
@pytest.mark.parametrize(
    ("what", "names"), STATE, ids=lambda value: str(getattr(value, "__name__", value))[:30]
)
def test_what_c_code_keeps_comes_back(travel: Any, what: Any, names: tuple[str, ...]) -> None:
    error = caught(what)
    back = travel(error)
    if isinstance(back, RayTaskError) and not isinstance(back, type(error)):
        back = back.cause  # SystemExit: whoever gets it should not end
    assert isinstance(back, type(error))
    for name in names:
        assert getattr(back, name) == getattr(error, name), name
    assert back.args == error.args


# -- what users make of their classes -----------------------------------------------------


class Told(Exception):
    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Slotted(Exception):
    __slots__ = ("__hidden", "seen")

    def __init__(self, seen: int, hidden: int) -> None:
        super().__init__("slots")
        self.seen, self.__hidden = seen, hidden

    def hidden(self) -> int:
        return self.__hidden


class Path(OSError):
    def __init__(self, path: str, code: int) -> None:
        super().__init__(2, "not there", path)
        self.code = code


class Made(Exception):
    def __new__(cls, one: int, two: int) -> Self:
        error = super().__new__(cls, one)
        error.two = two
        return error

    def __init__(self, one: int, two: int) -> None:
        pass

    two: int


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int
    many: tuple[int, ...]


class Covered(Exception):
    """Has properties by names that `RayTaskError` uses."""

    @property
    def cause(self) -> str:
        return "its own"

    node = pid = alike = frames = traceback_str = function_name = cause  # type: ignore[assignment]


class Odd(Exception):
    def __reduce__(self) -> Any:
        return Odd, ("one", "too many", "arguments"), {}

    def __init__(self, text: str) -> None:
        super().__init__(text)


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    def __reduce__(self) -> Any:
        raise RuntimeError("no")


class Several(Exception, Generic[T]):
    pass


class Abstract(Exception, abc.ABC):
    @abc.abstractmethod
    def missing(self) -> None: ...


class Closed(Exception):
    def __init_subclass__(cls, **_: Any) -> None:
        raise TypeError("no subclasses")


class Final(type):
    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Any:
        if any(isinstance(base, Final) for base in bases):
            raise TypeError("final")
        return super().__new__(cls, name, bases, space)


class Finished(Exception, metaclass=Final):
    pass


class Mine(BaseException):
    pass


class Group(ExceptionGroup[Any]):
    code: int

    def __new__(cls, errors: list[Exception], code: int) -> Self:
        group = super().__new__(cls, "mine", errors)
        group.code = code
        return group

    def derive(self, excs: Any) -> Group:
        return Group(excs, self.code)


USERS: list[tuple[Any, dict[str, Any]]] = [
    (lambda: Told(3, reason="why"), {"code": 3, "reason": "why"}),
    (lambda: Slotted(1, 2), {"seen": 1, "_Slotted__hidden": 2}),
    (lambda: Path("/x", 7), {"code": 7, "filename": "/x", "errno": 2}),
    (lambda: Made(1, 2), {"two": 2, "args": (1,)}),
    (lambda: Frozen(1, (2, 3)), {"code": 1, "many": (2, 3)}),
    (lambda: Covered("c"), {"args": ("c",)}),
    (lambda: Odd("o"), {"args": ("o",)}),
    (Wordless, {}),
    (lambda: Several("s"), {"args": ("s",)}),
    (lambda: Abstract("a"), {"args": ("a",)}),
    (lambda: Closed("c"), {"args": ("c",)}),
    (lambda: Finished("f"), {"args": ("f",)}),
    (lambda: Mine("m"), {"args": ("m",)}),
    (lambda: Group([ValueError("v")], 5), {"code": 5, "message": "mine"}),
]


@WAYS
@pytest.mark.parametrize(("make", "has"), USERS, ids=lambda value: "")
def test_any_class_comes_back_with_all_it_has(travel: Any, make: Any, has: Any) -> None:
    error = make()
    back = travel(error)
    assert isinstance(back, type(error))
    for name, value in has.items():
        assert getattr(back, name) == value, name
    if travel is as_error:
        assert isinstance(back, RayTaskError)
        assert (back.node, back.pid, back.alike) == ("node-1", 42, 1)
        assert isinstance(back.cause, type(error))
        back.alike = 3
        back.add_note("a note")
        assert (back.alike, back.__notes__) == (3, ["a note"])
        again = as_error(back)
        assert isinstance(again, type(error))
        assert isinstance(pickle.loads(pack(again).join()), type(error))


def test_a_value_that_holds_exceptions_anywhere() -> None:
    value = {"a": [Told(1, reason="x"), (Path("/y", 2),)], "b": Slotted(3, 4)}
    back = as_value(value)
    assert back["a"][0].reason == "x"
    assert back["a"][1][0].filename == "/y"
    assert back["b"].hidden() == 4


def test_an_exception_that_holds_itself() -> None:
    error = Told(1, reason="x")
    error.me = [error]  # type: ignore[attr-defined]
    back = as_value(error)
    assert back.me[0] is back
    assert as_error(error).me[0].code == 1


# -- what does not pickle -----------------------------------------------------------------


@pytest.mark.parametrize(
    "part", [threading.Lock(), (i for i in "ab"), lambda: threading.Lock],
    ids=["lock", "generator", "fine"],
)
def test_an_error_leaves_behind_only_what_cannot_travel(part: Any) -> None:
    error = Told(3, reason="why")
    error.part = part  # type: ignore[attr-defined]
    error.args = ("text", part, 5)
    back = as_error(error)
    assert isinstance(back, Told)
    assert (back.code, back.args[0], back.args[2]) == (3, "text", 5)
    if callable(part):
        assert back.part() is threading.Lock  # type: ignore[attr-defined]
    else:
        assert back.args[1] == repr(part)
        assert not hasattr(back, "part")
        assert "'part' stayed where it was raised" in back.__notes__[0]


def test_a_group_loses_no_member_for_what_another_cannot_bring() -> None:
    one = Told(1, reason="x")
    one.lock = threading.Lock()  # type: ignore[attr-defined]
    inner = ExceptionGroup("inner", [one, KeyError("k")])
    back = as_error(ExceptionGroup("outer", [inner, ValueError("v")]))
    assert isinstance(back, ExceptionGroup)
    first, second = back.exceptions
    assert isinstance(second, ValueError)
    assert [type(each) for each in first.exceptions] == [Told, KeyError]


def test_a_value_that_cannot_be_pickled_is_refused_as_ever() -> None:
    error = Told(1, reason="x")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="lock"):
        pack(error)


def test_what_lacked_an_attribute_comes_along_only_if_it_is_small() -> None:
    class Large:
        def __init__(self, size: int) -> None:
            self.data = bytearray(size)

    small, large = caught(lambda: Large(10).nothing), caught(lambda: Large(MOST_BESIDE).nothing)
    assert len(as_error(small).obj.data) == 10
    assert as_error(large).obj is None
    assert as_error(large).name == "nothing"
    lock = as_value(caught(lambda: threading.Lock().nothing))  # type: ignore[attr-defined]
    assert (lock.name, lock.obj) == ("nothing", None)


# -- groups --------------------------------------------------------------------------------


def test_groups_are_split_by_their_members() -> None:
    group = Group([ValueError("1"), Group([KeyError("k"), ValueError("2")], 6)], 5)
    found, rest = as_error(group).split(ValueError)
    assert isinstance(found, Group)
    assert (found.code, rest.code) == (5, 5)
    texts = []
    try:
        raise as_error(group)
    except* ValueError as errors:
        texts += [str(one) for one, _ in _leaves(errors)]
    except* KeyError as errors:
        texts += [repr(one) for one, _ in _leaves(errors)]
    assert texts == ["1", "2", "KeyError('k')"]


def _leaves(group: BaseExceptionGroup[Any]) -> Any:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one, group


def test_a_group_with_what_is_no_exception_is_the_cause() -> None:
    back = as_error(BaseExceptionGroup("b", [KeyboardInterrupt(), Mine("m")]))
    assert type(back) is RayTaskError
    assert type(back.cause) is BaseExceptionGroup
    assert [type(one) for one in back.cause.exceptions] == [KeyboardInterrupt, Mine]
    assert back.node == "node-1"
    assert "Mine: m" in "".join(traceback.format_exception(back))
    again = told_of(as_error(back))
    assert again is not None
    assert again.traceback_str.count("Mine: m") <= 3


def test_a_class_that_c_code_has_closed_is_caught_by_its_own_name() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        number: int

    back = as_error(caught(lambda: Model(number="x")))
    assert isinstance(back, pydantic.ValidationError)
    behind = told_of(back)
    assert behind is not None
    assert behind.cause.errors()[0]["loc"] == ("number",)


# -- causes, contexts, notes --------------------------------------------------------------


@WAYS
def test_causes_contexts_and_notes_come_along(travel: Any) -> None:
    def chained() -> None:
        try:
            try:
                {}["k"]
            finally:
                raise Told(1, reason="context")
        except Told as told:
            told.add_note("noted")
            raise ValueError("v") from told

    back = travel(caught(chained))
    assert isinstance(back.__cause__, Told)
    assert back.__cause__.reason == "context"
    assert back.__cause__.__notes__ == ["noted"]
    assert isinstance(back.__cause__.__context__, KeyError)


def test_a_long_chain_and_a_cause_that_cannot_travel_fail_nothing() -> None:
    error: BaseException = ValueError("first")
    for number in range(300):
        later = ValueError(number)
        later.__context__ = error
        error = later
    assert as_value(error).args == (299,)
    lock = ValueError("l")
    lock.__cause__ = TypeError(threading.Lock())
    assert as_value(lock).__cause__ is None


# -- properties ---------------------------------------------------------------------------

leaves = (
    st.none() | st.integers() | st.text(st.characters(), max_size=8) | st.binary(max_size=8)
)
values = leaves | st.lists(leaves, max_size=3) | st.tuples(leaves, leaves)
names = st.sampled_from(["code", "cause", "node", "args_", "pid", "_x", "frames", "errno"])


BASES: list[Any] = [
    Exception, ValueError, KeyError, OSError, UnicodeDecodeError, StopIteration, ImportError,
    SyntaxError, Mine, ExceptionGroup,
]  # fmt: skip


@st.composite
def shapes(draw: Any, depth: int = 0) -> BaseException:
    """An exception of a class made for it: base, slots, constructor, state, causes, group."""
    base = draw(st.sampled_from(BASES))
    space: dict[str, Any] = {}
    slots = draw(st.lists(st.sampled_from(["one", "__two", "three"]), unique=True, max_size=2))
    if slots and base is not ExceptionGroup:
        space["__slots__"] = tuple(slots)
    if draw(st.booleans()):
        space["__init__"] = lambda self, *_, **__: None
    if draw(st.booleans()):
        space["__setattr__"] = _refuse
    if draw(st.booleans()):
        space["__init_subclass__"] = classmethod(_refuse)
    kind: Any = type(base)(f"Of{base.__name__}", (base,), space)
    args = draw(st.lists(values, max_size=3))
    if base is ExceptionGroup:
        count = 1 if depth else draw(st.integers(1, 3))
        inner = [draw(shapes(depth=depth + 1)) for _ in range(count)] if depth < 2 else []
        inner = [one for one in inner if isinstance(one, Exception)] or [ValueError("leaf")]
        error = base.__new__(kind, "group", inner)
    else:
        error = base.__new__(kind, *args)
        BaseException.args.__set__(error, tuple(args))  # type: ignore[attr-defined]
    vars(error).update(draw(st.dictionaries(names, values, max_size=3)))
    for name in space.get("__slots__", ()):
        full = f"_{kind.__name__}{name}" if name.startswith("__") else name
        vars(kind)[full].__set__(error, draw(values))
    if draw(st.booleans()):
        vars(error)["lost"] = threading.Lock()
    if depth < 2 and draw(st.booleans()):
        BaseException.__cause__.__set__(error, draw(shapes(depth=depth + 1)))  # type: ignore[attr-defined]
    return error


def _refuse(*_: Any, **__: Any) -> None:
    raise TypeError("no")


@given(shapes())
def test_every_shape_of_exception_comes_back(error: BaseException) -> None:
    kind = type(error)
    back = as_error(error)
    assert isinstance(back, kind)
    assert isinstance(back, RayTaskError) or told_of(back) is not None
    slots = [name for name in vars(kind) if type(vars(kind)[name]).__name__ == "member_descriptor"]
    for name in slots:
        assert vars(kind)[name].__get__(back) == vars(kind)[name].__get__(error)
    for name, value in vars(error).items():
        if name in {"lost", "__notes__"} or hasattr(RayTaskError, name):
            continue
        assert vars(back)[name] == value
    if isinstance(error, BaseExceptionGroup):
        assert [type(one) for one in back.exceptions] == [type(one) for one in error.exceptions]
    else:
        assert back.args == error.args
    if error.__cause__ is not None:
        assert told_of(back) is not None
    again = as_error(back)
    assert isinstance(again, kind)
    if "lost" not in vars(error) and not isinstance(error, BaseExceptionGroup):
        assert type(as_value([error])[0]) is kind
