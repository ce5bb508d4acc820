"""The class of an actor in the actor's own process: whether it is asynchronous, how it is made.

Owns what Ray allows of such classes and Python alone does not: a coroutine as
`__init__`, and `super(Name, self)` where `Name` is the remote class by now. Does not
own calls (`executor`, `concurrent`).
"""

from __future__ import annotations

import inspect
import sys
from types import FunctionType
from typing import Any

from nbray.config import MOST_LABEL


def starts_async(cls: type) -> bool:
    """Whether its `__init__` is a coroutine function."""
    return inspect.iscoroutinefunction(inspect.unwrap(inspect.getattr_static(cls, "__init__")))


def is_async(cls: type) -> bool:
    """Whether a class has `async def` methods."""
    return starts_async(cls) or any(
        inspect.iscoroutinefunction(plain := inspect.unwrap(getattr(cls, name)))
        or inspect.isasyncgenfunction(plain)
        for name in dir(cls)
        if not name.startswith("__") and callable(getattr(cls, name, None))
    )


def made(cls: Any, args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """(an instance, None or the `asyncio.Runner` in whose loop its `__init__` ran).

    In that loop its calls are to run, too.
    """
    settle_super(cls)
    if not starts_async(cls):
        return cls(*args, **kwargs), None
    import asyncio

    plain = cls.__new__ is object.__new__
    instance = cls.__new__(cls) if plain else cls.__new__(cls, *args, **kwargs)
    runner = asyncio.Runner()
    runner.run(instance.__init__(*args, **kwargs))
    return instance, runner


def called(instance: Any) -> str:
    """What an actor's prints are headed with, if its class says how it is shown; else ''."""
    shown: Any = type(instance).__repr__
    if shown is object.__repr__:
        return ""
    try:
        return repr(instance)[:MOST_LABEL]
    except Exception:  # noqa: BLE001 - the user's code, on nobody's behalf
        return ""


def settle_super(cls: type) -> None:
    """Have `super(Name, self)` in the methods of *cls* mean the class, not the remote class.

    The globals of these methods are this process's own copy, but for those of
    modules that are imported, which are left alone.
    """
    for base in cls.__mro__:
        for member in vars(base).values():
            function = inspect.unwrap(getattr(member, "__func__", member))
            if not isinstance(function, FunctionType) or "super" not in function.__code__.co_names:
                continue
            space = function.__globals__
            home = sys.modules.get(space.get("__name__", ""))
            if home is None or vars(home) is not space:
                space["super"] = _super


def _super(*given: Any) -> Any:
    """`super`, which also takes a remote class for the class that it is made of."""
    if given:
        kind, *rest = given
        return super(kind if isinstance(kind, type) else kind.__wrapped__, *rest)
    frame = sys._getframe(1)
    first = frame.f_code.co_varnames[0]
    return super(frame.f_locals["__class__"], frame.f_locals[first])
