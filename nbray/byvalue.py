"""What Python pickles as a name in `__main__`, pickled as what it is.

A worker's `__main__` is another, so "the `helper` of `__main__`" means nothing
there. cloudpickle knows this of functions and classes; functools' wrappers,
`NewType` and the like, and objects whose `__reduce__` gives a name, it leaves to
pickle, and of enumerations it keeps values only. Owns how each of these is taken
apart. Rule: whatever can be imported by its name still travels by name.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import sys
import typing
import weakref
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any

from cloudpickle import cloudpickle

_Reduced = tuple[Any, ...]
_MAIN = ("__main__", "__mp_main__")
HOMES = frozenset({*_MAIN, "enum", "functools", "typing", "typing_extensions"})
"""Modules of the classes of what may be ours, besides functions."""
_DISPATCH = frozenset({"register", "dispatch", "registry", "_clear_cache"})
"""What `singledispatch` puts on its function."""
_NAMES = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")
_OWN = frozenset({"__dict__", "__weakref__"})


def reduced_by_value(obj: Any) -> Any:
    """How *obj* is pickled if it is one of ours; NotImplemented if it is not.

    To be asked of functions, and of what is of a class of `HOMES`.
    """
    kind = type(obj)
    how: Callable[[Any], Any] | None
    if kind is FunctionType:
        how = _dispatching if "registry" in obj.__dict__ else None
    elif issubclass(kind, enum.EnumMeta):
        how = _enumeration
    elif kind.__module__ in _MAIN:
        how = _named if _says_itself(kind) else None
    elif kind.__name__ == "_TypedDictMeta":
        how = _typed_dict
    else:
        how = _WAYS.get(kind)
    if how is None or (how is not _named and _importable(obj)):
        return NotImplemented
    return how(obj)


def _says_itself(kind: type) -> bool:
    """Whether instances of *kind* say how they are pickled."""
    ways: tuple[Any, ...] = (kind.__reduce__, kind.__reduce_ex__)
    return ways != (object.__reduce__, object.__reduce_ex__) and not issubclass(kind, type)


def _importable(obj: Any) -> bool:
    """Whether *obj* is found by its name in a module that workers import, too."""
    found = cloudpickle._lookup_module_and_qualname(obj)
    return found is not None and not cloudpickle._is_registered_pickle_by_value(found[0])


def _assume(obj: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        setattr(obj, name, value)


# -- functools --------------------------------------------------------------------------------


def _cache(obj: Any) -> Any:
    state = {name: value for name, value in vars(obj).items() if name != "cache_parameters"}
    shape = obj.cache_parameters()
    parts = (obj.__wrapped__, shape["maxsize"], shape["typed"])
    return make_cache, parts, state, None, None, _assume


def make_cache(call: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """A cache around *call*, empty."""
    return functools.lru_cache(maxsize, typed)(call)


def _cached_property(obj: Any) -> Any:
    state = {name: value for name, value in vars(obj).items() if name not in {"func", "lock"}}
    return functools.cached_property, (obj.func,), state, None, None, _assume


def _dispatching(obj: Any) -> Any:
    if not _DISPATCH.issubset(vars(obj)):
        return NotImplemented
    state = {name: value for name, value in vars(obj).items() if name not in _DISPATCH}
    state |= {name: getattr(obj, name, None) for name in _NAMES}
    registered = list(obj.registry.items())
    return make_dispatching, (obj.__name__,), (registered, state), None, None, fill_dispatching


def make_dispatching(name: str) -> Any:
    """A generic function without implementations."""

    def nothing(*_: Any, **__: Any) -> None: ...

    nothing.__name__ = name  # errors say it
    return functools.singledispatch(nothing)


def fill_dispatching(obj: Any, state: tuple[list[tuple[type, Any]], dict[str, Any]]) -> None:
    """Give the generic function its implementations and what hangs on it."""
    registered, own = state
    for kind, call in registered:
        obj.register(kind, call)
    _assume(obj, own)


# -- typing ------------------------------------------------------------------------------------


def _new_type(obj: Any) -> Any:
    return make_new_type, (obj.__name__, obj.__supertype__), dict(vars(obj)), None, None, _assume


def make_new_type(name: str, base: Any) -> Any:
    """`NewType(name, base)`."""
    return typing.NewType(name, base)


def _parameters(obj: Any) -> Any:
    more = {"bound": obj.__bound__} if getattr(obj, "__bound__", None) is not None else {}
    return make_parameters, (type(obj), obj.__name__, more)


def make_parameters(kind: Any, name: str, more: dict[str, Any]) -> Any:
    """A `ParamSpec` or `TypeVarTuple`."""
    return kind(name, **more)


def _alias(obj: Any) -> Any:
    return make_alias, (type(obj), obj.__name__, obj.__value__, obj.__type_params__)


def make_alias(kind: Any, name: str, value: Any, parameters: tuple[Any, ...]) -> Any:
    """What `type Name[...] = ...` makes."""
    return kind(name, value, type_params=parameters)


def _typed_dict(obj: Any) -> Any:
    state = {name: value for name, value in vars(obj).items() if name not in _OWN}
    return make_typed_dict, (type(obj), obj.__name__, obj.__bases__), state, None, None, _assume


def make_typed_dict(meta: Any, name: str, bases: tuple[type, ...]) -> Any:
    """A `TypedDict` without keys, as its metaclass makes one."""
    return type.__new__(meta, name, bases, {})


# -- enumerations -------------------------------------------------------------------------------

_OF_MEMBERS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_"})
"""What `enum` itself keeps of a member."""


def _enumeration(kind: Any) -> Any:
    """An enumeration with its aliases, and with what `__new__` and `__init__` gave its members.

    cloudpickle makes members of their values alone.
    """
    members: dict[str, Any] = dict(kind.__members__)
    data = next(base for base in kind._member_type_.__mro__ if _made_by_c(base))
    if copyreg._slotnames(kind) or not (data is object or hasattr(data, "__getnewargs__")):  # type: ignore[attr-defined]
        return NotImplemented
    try:
        _, shape, (own, slots), *_ = cloudpickle._dynamic_class_reduce(kind)
    except AttributeError:  # of a name that cloudpickle does not know
        return NotImplemented
    bases, name, qualname, _, module, tracked, _ = shape
    values = {
        member_name: (member._value_, () if data is object else data.__getnewargs__(member))
        for member_name, member in members.items()
    }
    boundary = getattr(kind, "_boundary_", None)
    parts = (bases, name, qualname, module, tracked, data, values, boundary)
    own = {key: value for key, value in own.items() if key not in members}
    given = {
        member_name: {key: vars(member)[key] for key in vars(member).keys() - _OF_MEMBERS}
        for member_name, member in members.items()
    }
    return make_enumeration, parts, ((own, slots), given), None, None, fill_enumeration


def _made_by_c(base: type) -> bool:
    return isinstance(vars(base).get("__new__"), BuiltinFunctionType)


def make_enumeration(
    bases: tuple[type, ...], name: str, qualname: str, module: str, tracked: str, data: Any,
    values: dict[str, tuple[Any, tuple[Any, ...]]], boundary: Any,
) -> Any:  # fmt: skip
    """The enumeration with its members, without running what is written in it."""
    known = list(values.values())

    def new(kind: Any, place: Any) -> Any:
        while isinstance(place, tuple):  # where members are tuples
            (place,) = place
        value, parts = known[place]
        member = data.__new__(kind, *parts)
        member._value_ = value
        return member

    meta: Any = type(bases[-1])
    space = meta.__prepare__(name, bases)
    space["__new__"] = new
    space["__init__"] = lambda _self, *_: None
    for place, member_name in enumerate(values):
        space[member_name] = place
    more = {} if boundary is None else {"boundary": boundary}
    kind = meta.__new__(meta, name, bases, space, **more)
    for ours in ("__init__", "__new_member__"):
        if ours in vars(kind):
            type.__delattr__(kind, ours)
    kind.__module__, kind.__qualname__ = module, qualname
    return cloudpickle._lookup_class_or_track(tracked, kind)


def fill_enumeration(kind: Any, state: tuple[Any, dict[str, dict[str, Any]]]) -> None:
    """Give it its methods, and its members what they lack."""
    own, given = state
    cloudpickle._class_setstate(kind, own)
    for name, attributes in given.items():
        held = vars(kind.__members__[name])
        for key, value in attributes.items():
            held.setdefault(key, value)


# -- objects that give a name ---------------------------------------------------------------------


def _named(obj: Any) -> Any:
    """An object of a class in `__main__` that says itself how it is pickled."""
    kind = type(obj)
    if kind in copyreg.dispatch_table:
        return NotImplemented
    said = obj.__reduce_ex__(5)
    if not isinstance(said, str):
        return said
    if isinstance(obj, enum.Enum):
        return getattr, (kind, obj.name)
    return find_named, (kind, said), obj.__getstate__(), None, None, fill_named


_made: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()
"""Objects that were made for a name, by class."""
_empty: weakref.WeakKeyDictionary[type, set[str]] = weakref.WeakKeyDictionary()
"""Those that have no attributes yet."""


def find_named(kind: Any, name: str) -> Any:
    """The object that has *name* here; one for each class and process, made if need be."""
    thing: Any = sys.modules.get("__main__")
    for part in name.split("."):
        thing = getattr(thing, part, None)
    if type(thing) is kind:
        return thing
    known = _made.setdefault(kind, {})
    if name not in known:
        known[name] = kind.__new__(kind)
        _empty.setdefault(kind, set()).add(name)
    return known[name]


def fill_named(obj: Any, state: Any) -> None:
    """Give it its attributes, if it was made here and has none yet."""
    empty, known = _empty.get(type(obj), set()), _made.get(type(obj), {})
    name = next((name for name in empty if known[name] is obj), None)
    if name is None:
        return
    empty.discard(name)
    own = getattr(obj, "__setstate__", None)
    if own is not None:
        own(state)
        return
    for part in state if isinstance(state, tuple) else (state,):
        for attribute, value in (part or {}).items():
            object.__setattr__(obj, attribute, value)


_WAYS: dict[type, Callable[[Any], Any]] = {
    type(make_cache(len, None, False)): _cache,
    functools.cached_property: _cached_property,
    typing.NewType: _new_type,
    typing.ParamSpec: _parameters,
    typing.TypeVarTuple: _parameters,
}
if sys.version_info >= (3, 12):
    _WAYS[typing.TypeAliasType] = _alias
