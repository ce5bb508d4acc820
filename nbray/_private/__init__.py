"""What Ray keeps private, so far as its own programs and other people's libraries rely on it.

Owns the modules that Ray has as `ray._private`, the names of `ray` that are no public API
(`names`), and in `stand_ins` the modules that Ray has elsewhere and nbray not. Rule: it is loaded
by who asks for it, small, and made of the public API; nothing of nbray's needs it.
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """A module of this package, without importing it first: Ray's are all there."""
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"nbray has nothing of what Ray keeps private as ray._private.{name}")
