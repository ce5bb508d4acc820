"""What the names that a function uses stand for: noted when it is pickled, compared later.

Owns which names those are: its global names and closure, those of the functions and
classes that travel inside it, and the members of such classes. Does not own what
follows from a change. Rule: comparing is by identity, at the cost of a dictionary's
look-up each; what is changed in place is not seen.
"""

from __future__ import annotations

import builtins
import functools
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from cloudpickle.cloudpickle import _extract_code_globals

from nbray.config import LARGE_FUNCTION

Watch = tuple[tuple[Callable[[str, Any], Any], str, Any], ...]
"""(how to look a name up, the name, what it stood for): see `same`."""
MISSING = object()
"""What a name stands for that nobody has bound."""
MOST_WATCHED = 500
"""Names that are compared at every call, at most."""


def same(watch: Watch) -> bool:
    """Whether all names stand for what they stood for."""
    for look, name, value in watch:  # noqa: SIM110 - the hottest loop of a submission
        if look(name, MISSING) is not value:
            return False
    return True


def watched(target: Any, size: int) -> Watch:
    """The names that *target*, and what travels inside it, look up when they run.

    What they stand for is held: it is in the pickled form of *size* bytes as well, unless
    that is large.
    """
    found: dict[tuple[int, str], tuple[Callable[[str, Any], Any], str, Any]] = {}
    seen: set[int] = set()
    waiting: deque[Any] = deque([target])
    while waiting and len(found) < MOST_WATCHED:
        thing = waiting.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        for look, key, name, value in _names(thing, thing is target, waiting):
            if (key, name) not in found:
                waiting.append(value)
                found[key, name] = _held(look, name, value, size)
    return tuple(found.values())


def _names(thing: Any, wanted: bool, waiting: deque[Any]) -> Iterator[tuple[Any, int, str, Any]]:
    """(how to look it up, in what, name, value) of each name that *thing* uses.

    What else of it travels along is appended to *waiting*. *wanted*: it travels by value,
    wherever it was defined.
    """
    if isinstance(thing, FunctionType):
        if not wanted and _by_name(thing):
            return
        waiting.extend(thing.__defaults__ or ())
        space = thing.__globals__
        for name in _extract_code_globals(thing.__code__):
            value = space.get(name, MISSING)
            if value is not MISSING or not hasattr(builtins, name):
                yield space.get, id(space), name, value
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=False):
            look = functools.partial(_inside, cell)
            yield look, id(cell), name, look(name, MISSING)
    elif isinstance(thing, type):
        if not wanted and _by_name(thing):
            return
        waiting.extend(thing.__bases__)
        members = vars(thing)
        for name, value in members.items():
            if name not in _UNSEEN:
                yield members.get, id(thing), name, value
    elif isinstance(thing, MethodType | classmethod | staticmethod):
        waiting.append(thing.__func__)
    elif isinstance(thing, property):
        waiting.extend((thing.fget, thing.fset))
    elif isinstance(thing, functools.partial | functools.partialmethod):
        waiting.append(thing.func)
    try:
        wrapped = getattr(thing, "__dict__", {}).get("__wrapped__")
    except Exception:  # noqa: BLE001 - users' __getattr__ methods raise what they like
        return
    if wrapped is not None:
        waiting.append(wrapped)


_UNSEEN = frozenset({"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__"})


def _inside(cell: Any, _name: str, missing: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return missing


def _by_name(thing: FunctionType | type) -> bool:
    """Whether *thing* travels as the name under which it is imported."""
    if thing.__module__ == "__main__":
        return False
    found: Any = sys.modules.get(thing.__module__)
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing


def _held(look: Any, name: str, value: Any, size: int) -> tuple[Any, str, Any]:
    """One entry of a `Watch`, which must keep nothing large alive."""
    if size <= LARGE_FUNCTION or value is MISSING or isinstance(value, _LASTING):
        return look, name, value
    try:
        alive: Callable[[], Any] = weakref.ref(value)
    except TypeError:
        known = id(value)
        return lambda name, missing: id(look(name, missing)) == known, name, True
    return lambda name, missing: look(name, missing) is alive(), name, True


_LASTING = (FunctionType, type, ModuleType, CodeType, int, float, type(None))
