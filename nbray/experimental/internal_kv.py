"""Ray's `ray.experimental.internal_kv`: texts and bytes that all processes of a cluster share.

Owns the functions, by Ray's names. What they keep is in an actor of the cluster, which comes with
the first thing that is kept, and is gone with the cluster. Keys and values are bytes; a str is
taken for its UTF-8.
"""

from __future__ import annotations

from typing import Any

from nbray import own_actors, session

NAME = "internal_kv"
Key = str | bytes


class _Store:
    """What is kept, by namespace and key."""

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes | None, bytes], bytes] = {}

    def put(self, space: bytes | None, key: bytes, value: bytes, overwrite: bool) -> bool:
        """Keep *value*: whether there was one."""
        there = (space, key) in self._kept
        if overwrite or not there:
            self._kept[space, key] = value
        return there

    def get(self, space: bytes | None, key: bytes) -> bytes | None:
        return self._kept.get((space, key))

    def list(self, space: bytes | None, prefix: bytes) -> list[bytes]:
        return [key for one, key in self._kept if one == space and key.startswith(prefix)]

    def delete(self, space: bytes | None, key: bytes, by_prefix: bool) -> int:
        """How many are gone."""
        keys = self.list(space, key) if by_prefix else [key]
        return sum(self._kept.pop((space, one), None) is not None for one in keys)


def _ask(method: str, *arguments: Any, make: bool = False) -> Any:
    """What the actor answers; None: there is none, for nothing was ever kept."""
    return own_actors.ask(_Store, NAME, method, *arguments, make=make)


def _bytes(value: Any) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    assert isinstance(value, bytes), f"a str or bytes, not {type(value).__name__}"
    return value


def _space(namespace: Key | None) -> bytes | None:
    return None if namespace is None else _bytes(namespace)


def _internal_kv_initialized() -> bool:
    """Whether nbray runs."""
    return session.live() is not None


def _internal_kv_put(
    key: Key, value: Key, overwrite: bool = True, *, namespace: Key | None = None
) -> bool:
    """Keep *value* under *key*: whether something was there already.

    Args:
        overwrite: False: what is there stays.
    """
    given = (_space(namespace), _bytes(key), _bytes(value), bool(overwrite))
    return bool(_ask("put", *given, make=True))


def _internal_kv_get(key: Key, *, namespace: Key | None = None) -> bytes | None:
    """What is kept under *key* (None: nothing)."""
    found: bytes | None = _ask("get", _space(namespace), _bytes(key))
    return found


def _internal_kv_exists(key: Key, *, namespace: Key | None = None) -> bool:
    """Whether something is kept under *key*."""
    return _internal_kv_get(key, namespace=namespace) is not None


def _internal_kv_del(
    key: Key, *, del_by_prefix: bool = False, namespace: Key | None = None
) -> int:
    """Forget what is kept under *key*, or under all keys that begin so: how many there were."""
    return int(_ask("delete", _space(namespace), _bytes(key), del_by_prefix) or 0)


def _internal_kv_list(prefix: Key, *, namespace: Key | None = None) -> list[bytes]:
    """The keys that begin with *prefix*."""
    return list(_ask("list", _space(namespace), _bytes(prefix)) or ())


def _internal_kv_reset() -> None:
    """Without effect: there is nothing of it in this process."""
