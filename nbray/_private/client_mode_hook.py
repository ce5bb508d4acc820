"""`ray._private.client_mode_hook`: Ray's client mode, which nbray has not, switched off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def disable_client_hook() -> Iterator[None]:
    """Nothing: every driver speaks to its cluster itself."""
    yield


def client_mode_hook(func: Any) -> Any:
    """*func* itself."""
    return func


def client_mode_should_convert() -> bool:
    """False."""
    return False
