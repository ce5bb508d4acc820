"""What of Ray has no public name: all of it, with what is done where a release lacks it.

Owns the only uses of Ray's private names; `import ray` itself is everybody's here. Rule: each
function says what it answers where the name is not there, and never raises for that.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import ray

_KV_NAMESPACE = b"nbray"


def _worker() -> Any:
    """The state of Ray in this process; None if this release keeps it elsewhere."""
    home = getattr(getattr(ray, "_private", None), "worker", None)
    return getattr(home, "global_worker", None)


def serializing() -> bool:
    """Whether Ray itself pickles a value in this thread (False: unknown)."""
    context = getattr(_worker(), "get_serialization_context", None)
    asked = getattr(context() if context is not None else None, "is_in_band_serialization", None)
    return bool(asked()) if asked is not None else False


def is_worker() -> bool:
    """Whether this process is one of Ray's workers (False: unknown)."""
    home = getattr(getattr(ray, "_private", None), "worker", None)
    mode = getattr(home, "WORKER_MODE", object())
    return getattr(_worker(), "mode", None) == mode


def peek(stream: Any) -> Any:
    """The reference that *stream*, of Ray, gives next, taken or not; None: it cannot be known."""
    ask = getattr(stream, "_get_next_ref", None)
    if ask is None:
        return None
    return ask()


def actor_id(handle: Any) -> bytes:
    """The 16 bytes of the id of Ray's *handle*."""
    found = getattr(handle, "_actor_id", None) or getattr(handle, "_ray_actor_id", None)
    if found is None:
        raise AttributeError(f"this release of Ray does not tell the id of {handle!r}")
    return bytes(found.binary())


def _kv() -> Any:
    from ray.experimental import internal_kv

    return internal_kv


def kv_put(key: bytes, value: bytes) -> bool:
    """Keep *value* in the cluster under *key*; False: this release has no such store."""
    put = getattr(_kv(), "_internal_kv_put", None)
    if put is None:
        return False
    put(key, value, overwrite=True, namespace=_KV_NAMESPACE)
    return True


def kv_get(key: bytes) -> bytes | None:
    """What is kept under *key*; None: nothing."""
    get = getattr(_kv(), "_internal_kv_get", None)
    return get(key, namespace=_KV_NAMESPACE) if get is not None else None


def kv_delete(key: bytes) -> None:
    """Forget what is kept under *key*."""
    delete = getattr(_kv(), "_internal_kv_del", None)
    if delete is not None:
        with contextlib.suppress(Exception):  # the cluster may have ended
            delete(key, namespace=_KV_NAMESPACE)


def use_token() -> None:
    """Have this process show Ray's token, if the machine has one and nobody has said otherwise.

    A cluster that `ray.init` or `ray start` began asks for it, and a driver that joins shows it by
    itself only where RAY_AUTH_MODE says so. A release without tokens takes no notice.
    """
    named = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    there = bool(os.environ.get("RAY_AUTH_TOKEN")) or Path(named).is_file()
    if "RAY_AUTH_MODE" in os.environ or not there:
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    config = getattr(getattr(ray, "_raylet", None), "Config", None)
    begin = getattr(config, "initialize", None)
    if begin is not None:
        begin("")  # it was read as Ray was imported
