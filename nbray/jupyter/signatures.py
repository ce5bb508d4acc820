"""Shift-Tab on an actor's method: the signature and docstring that the user wrote.

Owns one step of IPython's inspector. Remote functions and classes carry their
own signatures; `handle.method.remote` is a plain bound method, because making
it anything else would cost every call, so it is looked up here instead. Rule:
whatever is not ours is inspected as ever.
"""

from __future__ import annotations

import types
from typing import Any

from nbray.actor import ActorMethod


def original(value: Any) -> Any:
    """What is to be inspected instead of *value*: of `handle.method.remote`, `handle.method`."""
    if isinstance(value, types.MethodType) and value.__func__ is ActorMethod.remote:
        return value.__self__
    return value


def install(shell: Any) -> None:
    """Have *shell* inspect what the user wrote."""
    inspect = type(shell.inspector).info

    def info(value: Any, *args: Any, **kwargs: Any) -> Any:
        return inspect(shell.inspector, original(value), *args, **kwargs)

    shell.inspector.info = info


def uninstall(shell: Any) -> None:
    """Take that back."""
    vars(shell.inspector).pop("info", None)
