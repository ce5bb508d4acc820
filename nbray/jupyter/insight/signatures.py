"""Shift-Tab on an actor's method: the signature and docstring that the user wrote.

Owns what is inspected; `nbray.patches.ipython_inspector` asks for it. Remote functions
and classes carry their own signatures; `handle.method.remote` is a plain bound method,
because making it anything else would cost every call, so it is looked up here instead.
Rule: whatever is not ours is inspected as ever.
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
