"""Exceptions taken apart and put together again, without asking their class.

By itself an exception is pickled as "call the class with `args`", which loses
what C code keeps (`OSError.filename`, `UnicodeDecodeError.object`) and slots,
and breaks where `__init__` takes something else than it hands on. Owns the
parts: class, `args`, dictionary, slots and C members, cause and context. Does
not own errors as results (`nbray.wire.failures`).

Rule: `__init__` never runs again. Whoever says himself how he is pickled
(`__reduce__` and friends) is believed if it works. Cause, context and the
object that lacked an attribute go along where they can, and fail nothing.
"""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import io
import pickle
import threading
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any

from nbray.definitions import Pickler

DEEPEST = 16
"""Causes of causes that go along."""
MOST_BESIDE = 64 * 1024
"""Bytes of a cause, of a context, or of an object that lacked an attribute."""

_BUILTIN = tuple(
    kind for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, BaseException)
)  # fmt: skip
_SAYINGS = (
    "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__",
    "__getnewargs_ex__",
)  # fmt: skip
_USUAL = {
    name: {id(getattr(kind, name)) for kind in (object, *_BUILTIN) if hasattr(kind, name)}
    for name in _SAYINGS
}
_BESIDE = frozenset({"obj"})
"""C members that may be anything, and large: `AttributeError.obj`."""
_KEPT = frozenset({"args", "__class__", "__dict__", "__weakref__", "__traceback__", "__cause__",
                   "__context__", "__suppress_context__"})  # fmt: skip

State = tuple[tuple[Any, ...], dict[str, Any], dict[str, Any], dict[str, bytes], bool]
"""(args, dictionary, members, pickled on their own: causes and the like, `__suppress_context__`)"""


class _Depth(threading.local):
    causes = 0


_depth = _Depth()


class _Room(io.BytesIO):
    """A file that takes `MOST_BESIDE` bytes."""

    def write(self, data: Any) -> int:
        self.check(memoryview(data))
        return super().write(data)

    def check(self, data: memoryview | pickle.PickleBuffer) -> bool:
        """Whether a pickler may write it here; refuses what finds no room."""
        if self.tell() + memoryview(data).nbytes > MOST_BESIDE:
            raise pickle.PicklingError("too large")
        return True


def reduced(error: BaseException) -> Any:
    """How *error* is pickled: what `reducer_override` returns for it."""
    if _says_itself(error) and _works(error):
        return NotImplemented
    args, own, members = _get(error, "args"), dict(vars(error)), dict(_members(error))
    return _apart(error, args, own, members, _inside(error))


class Bare:
    """Pickles an exception without whatever of it *can* refuses; a note says what stayed behind.

    Of `args` a text stays. It comes back as the exception itself.
    """

    def __init__(self, error: BaseException, can: Callable[[Any], bool]) -> None:
        self._error = error
        self._can = can

    def __reduce__(self) -> Any:
        error, can = self._error, self._can
        inside = _inside(error)
        if inside:
            message, members = inside
            inside = (message, [one if can(one) else Bare(one, can) for one in members])
            args: tuple[Any, ...] = inside
        else:
            args = tuple(value if can(value) else _words(value) for value in _get(error, "args"))
        own, found = dict(vars(error)), dict(_members(error))
        beside = [name for name in found if name not in _BESIDE]
        lost = [name for name in own if not can(own[name])]
        lost += [name for name in beside if not can(found[name])]
        if lost:
            for name in lost:
                own.pop(name, None)
                found.pop(name, None)
            names = ", ".join(map(repr, lost))
            note = f"({names} stayed where it was raised: it cannot be pickled)"
            own["__notes__"] = [*own.get("__notes__", ()), note]
        return _apart(error, args, own, found, inside)


def _apart(
    error: BaseException, args: tuple[Any, ...], own: dict[str, Any], members: dict[str, Any],
    inside: tuple[Any, ...],
) -> tuple[Any, ...]:  # fmt: skip
    beside = _beside(error, members)
    for name in _BESIDE:
        members.pop(name, None)
    state: State = (args, own, members, beside, _get(error, "__suppress_context__"))
    return make, (type(error), inside), state, None, None, fill


def assume(error: BaseException, other: BaseException) -> None:
    """Give *error* what *other* carries: arguments, attributes, slots, C members, causes."""
    error.__dict__.update(vars(other))
    _set(error, dict(_members(other)))
    for name in ("args", "__cause__", "__context__"):
        _put(error, name, _get(other, name))
    # What is printed of it tells of its contexts already.
    _put(error, "__suppress_context__", True)


def like(kind: type[BaseException], other: BaseException) -> BaseException:
    """An instance of *kind*, a subclass of *other*'s class, that is otherwise as *other*."""
    error = make(kind, _inside(other))
    assume(error, other)
    return error


def _says_itself(error: BaseException) -> bool:
    """Whether somebody other than Python itself has said how *error* is pickled."""
    kind = type(error)
    if kind in copyreg.dispatch_table:
        return True
    for name in _SAYINGS:
        said = getattr(kind, name, None)
        if said is None or id(said) in _USUAL[name]:
            continue
        # What a dataclass with slots gets speaks of slots, which Python's own way leaves out.
        if getattr(said, "__module__", "") != "dataclasses":
            return True
    return False


def _works(error: BaseException) -> bool:
    """Whether what *error* says of itself makes an exception again."""
    try:
        how = copyreg.dispatch_table.get(type(error))
        said = how(error) if how is not None else error.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        if isinstance(said, str):
            return True
        return isinstance(said[0](*said[1]), BaseException)
    except Exception:  # noqa: BLE001 - users' classes raise what they like
        return False


def _members(error: BaseException) -> Iterator[tuple[str, Any]]:
    """What is in slots, and what C code keeps and lets be set."""
    seen = set(_KEPT)
    group = isinstance(error, BaseExceptionGroup)
    for base in type(error).__mro__:
        for name, member in vars(base).items():
            if name in seen or not isinstance(member, MemberDescriptorType | GetSetDescriptorType):
                continue
            seen.add(name)
            try:
                value = member.__get__(error)
            except Exception:  # noqa: BLE001, S112 - it was never set, in many ways
                continue
            if value is None and base in _BUILTIN:
                continue  # not set, as C code has it
            if not (group and name in {"message", "exceptions"}):
                yield name, value


def _inside(error: BaseException) -> tuple[Any, ...]:
    """What `__new__` needs: of a group its message and members."""
    if isinstance(error, BaseExceptionGroup):
        return error.message, list(error.exceptions)
    return ()


def _beside(error: BaseException, members: dict[str, Any]) -> dict[str, bytes]:
    """Causes, contexts and the like, each pickled on its own, where that works."""
    found = {name: members[name] for name in _BESIDE if name in members}
    if _depth.causes < DEEPEST:
        found |= {
            name: cause
            for name in ("__cause__", "__context__")
            # (What stands for an error that its class does not let be extended leads back to it.)
            if (cause := _get(error, name)) is not None
            and cause is not error
            and getattr(cause, "cause", None) is not error
        }
        if found.get("__context__") is found.get("__cause__"):
            found.pop("__context__", None)
    packed = {}
    _depth.causes += 1
    try:
        for name, value in found.items():
            room = _Room()
            with contextlib.suppress(Exception):  # users' classes raise what they like
                Pickler(room, protocol=5, buffer_callback=room.check).dump(value)
                packed[name] = room.getvalue()
    finally:
        _depth.causes -= 1
    return packed


def _get(error: BaseException, name: str) -> Any:
    """An attribute that every exception has, whatever its class makes of the name."""
    return vars(BaseException)[name].__get__(error)


def _put(error: BaseException, name: str, value: Any) -> None:
    """Set it, also where the class lets nothing be set."""
    vars(BaseException)[name].__set__(error, value)


def _words(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - users' __repr__ methods raise what they like
        return f"<{type(value).__name__}>"


def make(kind: type[BaseException], inside: tuple[Any, ...]) -> BaseException:
    """An instance of *kind*, still empty, made by the innermost `__new__` of C code that can.

    Raises:
        TypeError: none can.
    """
    refused = TypeError(f"{kind.__qualname__} is no exception's class")
    for base in kind.__mro__:
        new = vars(base).get("__new__")
        if isinstance(new, BuiltinFunctionType):
            try:
                error: BaseException = new(kind, *inside)
            except TypeError as why:  # it may be for classes of its own layout only
                refused = why
            else:
                return error
    raise refused


def fill(error: BaseException, state: State) -> None:
    """Give *error* what was taken from the other one."""
    args, own, members, beside, suppress = state
    _put(error, "args", args)
    # A class that travelled by value has no slots: one here may have been an attribute there.
    slots = [name for name in own if isinstance(_found(type(error), name), MemberDescriptorType)]
    found = {**members, **{name: own[name] for name in slots}}
    error.__dict__.update((name, value) for name, value in own.items() if name not in slots)
    for name, data in beside.items():
        with contextlib.suppress(Exception):  # users' classes raise what they like when rebuilt
            found[name] = pickle.loads(data)
    for name in ("__cause__", "__context__"):
        if name in found:
            _put(error, name, found.pop(name))
    _set(error, found)
    _put(error, "__suppress_context__", suppress)


def _found(kind: type, name: str) -> Any:
    """What a class has under a name, as it lies there."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _set(error: BaseException, members: dict[str, Any]) -> None:
    for name, value in members.items():
        member = _found(type(error), name)
        if isinstance(member, MemberDescriptorType | GetSetDescriptorType):
            with contextlib.suppress(Exception):  # it can be read only
                member.__set__(error, value)
        elif member is None:  # a slot there, and none here
            error.__dict__[name] = value


READ_ONLY = (
    "(what nbray.get gives, and tasks are given, is read-only, for all processes of a machine "
    "share it: array = array.copy() makes one that can be changed)"
)


def note_read_only(error: BaseException) -> None:
    """Say in *error* what to do, if it tells that an array cannot be written to.

    numpy, pandas, Cython and memoryview say that it is 'read-only', not why.
    """
    if not isinstance(error, (ValueError, TypeError)):
        return
    said = str(error)
    if "is read-only" not in said and "read-only memory" not in said:
        return
    notes = getattr(error, "__notes__", ())
    if READ_ONLY not in notes:
        error.__dict__["__notes__"] = [*notes, READ_ONLY]
