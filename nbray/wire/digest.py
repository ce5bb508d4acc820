"""A name for bytes by what they are: 16 bytes of BLAKE2b.

Owns which hash that is. Does not own what is named by it (functions, modules,
values). Rule: hashlib is loaded at the first use. OpenSSL comes with it, and takes
longer than most modules here; a worker that defines nothing never needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import blake2b

SIZE = 16
"""Bytes."""


def begin() -> blake2b:
    """A hash to `update`, and then to ask for its `digest()`."""
    import hashlib

    return hashlib.blake2b(digest_size=SIZE)


def digest(data: bytes) -> bytes:
    """The name of *data*."""
    state = begin()
    state.update(data)
    return state.digest()
