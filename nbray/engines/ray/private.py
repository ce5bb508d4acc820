"""What of Ray has no public name: all of it, with what is done where a release lacks it.

Owns the only uses of Ray's private names; `import ray` itself is everybody's here. Rule: each
function says what it answers where the name is not there, and never raises for that.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

import ray

_KV_NAMESPACE = b"nbray"
LOOK_SECONDS = 0.05
"""Seconds between two looks at a stream whose next reference cannot be known."""


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


def is_cancelled() -> bool:
    """Whether somebody has cancelled what runs here (True: it cannot be known)."""
    asked = getattr(ray.get_runtime_context(), "is_canceled", None)
    try:
        return bool(asked()) if asked is not None else True
    except RuntimeError:  # no task runs here
        return False


def current_actor() -> Any:
    """Ray's handle of the actor that lives in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray uses there what it deprecates
        return ray.get_runtime_context().current_actor


def peek(stream: Any) -> Any:
    """The reference that *stream*, of Ray, gives next; it is ready as soon as that can be read.

    Without such a name: one that is ready, after a short wait, so that whoever waits looks again.
    """
    several = getattr(stream, "_get_next_ref_n", None)
    if several is not None:
        return several(1)[0]
    one = getattr(stream, "_get_next_ref", None)
    if one is not None:
        return one()
    ray.wait([stream], timeout=LOOK_SECONDS, fetch_local=False)
    return ray.put(None)


def node_socket() -> str:
    """The path at which the process of this machine's node listens ('': unknown)."""
    found = getattr(getattr(_worker(), "node", None), "raylet_socket_name", None)
    return str(found or "")


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


def available_by_node() -> dict[str, dict[str, float]]:
    """What of each node's resources is free, by its id ({}: this release does not tell)."""
    state = getattr(getattr(ray, "_private", None), "state", None)
    ask = getattr(state, "available_resources_per_node", None)
    with contextlib.suppress(Exception):  # the cluster may have ended
        return dict(ask()) if ask is not None else {}
    return {}


def session_folder() -> str:
    """Ray's folder for its session on this node ('': unknown); all its processes know the same."""
    node = getattr(_worker(), "node", None)
    ask = getattr(node, "get_session_dir_path", None)
    return str(ask()) if ask is not None else ""
