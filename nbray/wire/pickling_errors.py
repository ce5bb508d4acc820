"""What cannot be pickled, and why: the sentence users read.

Owns the search for the guilty part and the advice. Does not own pickling: it
tries parts with cloudpickle alone. Rule: it runs after a failure only, looks
at a bounded number of parts, and always ends with what to do next.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from nbray.definitions import Nowhere, Pickler
from nbray.exceptions import on_behalf
from nbray.generators import ObjectRefGenerator
from nbray.refs import ObjectRef

_DEPTH = 5
_PARTS = 100

_KINDS = {
    "lock": ("a thread lock", "create it inside the task"),
    "RLock": ("a thread lock", "create it inside the task"),
    "_thread._local": ("a thread-local", "create it inside the task"),
    "Thread": ("a thread", "start it inside the task"),
    "generator": ("a generator", "pass list(...) of it"),
    "async_generator": ("an asynchronous generator", "collect it into a list first"),
    "coroutine": ("a coroutine", "await it first, or call it inside the task"),
    "TextIOWrapper": ("an open file", "pass its path and open it inside the task"),
    "BufferedReader": ("an open file", "pass its path and open it inside the task"),
    "BufferedWriter": ("an open file", "pass its path and open it inside the task"),
    "FileIO": ("an open file", "pass its path and open it inside the task"),
    "socket": ("a socket", "connect inside the task"),
    "Connection": ("a connection", "connect inside the task"),
    "frame": ("a stack frame", "leave it out of what you send"),
    "traceback": ("a traceback", "send its text, traceback.format_exc()"),
    "memoryview": ("a memoryview", "send bytes(view)"),
    "ObjectRefGenerator": ("a generator of references", "pass the references that it gives"),
}


class _Trial(Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is ObjectRef:
            return str, ()
        return super().reducer_override(obj)


def _fault(value: Any) -> Exception | None:
    """Why *value* cannot be pickled; None if it can be."""
    try:
        _Trial(Nowhere(), protocol=5, buffer_callback=lambda _: None).dump(value)
    except Exception as error:  # noqa: BLE001 - users' __reduce__ methods raise what they like
        return error
    return None


def captures(call: Any) -> dict[str, Any]:
    """The closure variables and globals that a function, or a class's methods, take along."""
    found: dict[str, Any] = {}
    if isinstance(call, MethodType):
        call = call.__func__
    if isinstance(call, type):
        for member in vars(call).values():
            inner = getattr(member, "__func__", member)
            if isinstance(inner, FunctionType):
                found.update(captures(inner))
        return found
    call = getattr(call, "__wrapped__", call)
    if not isinstance(call, FunctionType):
        return found
    for name in _global_names(call.__code__):
        value = call.__globals__.get(name, call)
        if value is not call and not isinstance(value, ModuleType):
            found[name] = value
    for name, cell in zip(call.__code__.co_freevars, call.__closure__ or (), strict=False):
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        if value is not call:
            found[name] = value
    return found


def defaults(call: Any) -> dict[str, Any]:
    """The default values of a function's parameters."""
    if not isinstance(call, FunctionType):
        return {}
    names = call.__code__.co_varnames[: call.__code__.co_argcount]
    values = call.__defaults__ or ()
    positional = zip(names[len(names) - len(values) :], values, strict=False)
    return {**dict(positional), **(call.__kwdefaults__ or {})}


def carried(call: Any) -> dict[str, Any]:
    """All that a function or class takes along by a name that people know it by."""
    found: dict[str, Any] = {}
    if isinstance(call, functools.partial):
        found.update(carried(call.func))
        found.update((f"argument {at}", value) for at, value in enumerate(call.args, 1))
        found.update(call.keywords)
    elif isinstance(call, MethodType):
        found["self"] = call.__self__
    elif isinstance(call, type):
        for base in call.__mro__[:-1]:
            for name, value in vars(base).items():
                if not callable(getattr(value, "__func__", value)):
                    found.setdefault(f"{call.__name__}.{name}", value)
            found.update((name, value) for name, value in captures(base).items())
    else:
        found.update(defaults(call))
    found.update(captures(call))
    return {
        name: value
        for name, value in found.items()
        if not name.rpartition(".")[2].startswith("__")
    }


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _global_names(const)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """(where, part) one level down."""
    if isinstance(value, ObjectRefGenerator):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"key {key!r}", item
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield f"element {index}", item
    elif isinstance(value, (FunctionType, type)):
        free = value.__code__.co_freevars if isinstance(value, FunctionType) else ()
        for name, item in captures(value).items():
            yield f"{'closure' if name in free else 'global'} variable {name!r}", item
        if isinstance(value, FunctionType):
            for item in value.__defaults__ or ():
                yield "a default value", item
    elif isinstance(value, MethodType):
        yield "its object", value.__self__
    else:
        for name, item in getattr(value, "__dict__", {}).items():
            yield f"attribute {name!r}", item
        for base in type(value).__mro__:
            slots = base.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, name):
                    yield f"attribute {name!r}", getattr(value, name)


def _search(value: Any, error: Exception) -> tuple[list[str], Any, Exception]:
    """(path inward, guilty part, its own error)."""
    path: list[str] = []
    for _ in range(_DEPTH):
        for where, part in itertools.islice(_parts(value), _PARTS):
            fault = _fault(part)
            if fault is not None:
                path.append(where)
                value, error = part, fault
                break
        else:
            break
    return path, value, error


def unpicklable(value: Any, what: str, error: Exception) -> TypeError:
    """The error to raise: *what* failed, which part of it, and what to do next."""
    path: list[str] = []
    part: Any = value
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        error = RecursionError("it is nested too deeply")
    else:
        path, part, error = _search(value, error)
    kind = type(part)
    described, advice = _KINDS.get(
        kind.__name__,
        (
            f"an object of type {kind.__module__}.{kind.__qualname__}",
            "create it inside the task, or leave it out of what you send",
        ),
    )
    where = "".join(f" in {place}" for place in reversed(path))
    reason = " ".join(str(error).split()) or type(error).__name__
    return on_behalf(
        TypeError(
            f"{what} cannot be pickled: it {'holds' if path else 'is'} {described}{where} "
            f"({reason}). To go on: {advice}. (Could not serialize {what}.)"
        )
    )
