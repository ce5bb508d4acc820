"""A name for bytes by what they are: 16 bytes of BLAKE2b.

Owns which hash that is. Does not own what is named by it (functions, modules,
values). Rule: CPython's own BLAKE2b is loaded at the first use, past hashlib. OpenSSL comes
with that, and takes longer than any module here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import blake2b

SIZE = 16
"""Bytes."""


def begin() -> blake2b:
    """A hash to `update`, and then to ask for its `digest()`."""
    try:
        from _blake2 import blake2b
    except ImportError:  # another Python
        from hashlib import blake2b
    return blake2b(digest_size=SIZE)


def digest(data: bytes) -> bytes:
    """The name of *data*."""
    state = begin()
    state.update(data)
    return state.digest()
