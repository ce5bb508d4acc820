"""What of Ray has no public name: all of it, with what is done where a release lacks it.

Owns the only uses of Ray's private names, but for the head's messages (`states`); `import ray`
itself is everybody's here. Rule: each
function says what it answers where the name is not there, and never raises for that.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

import ray

_KV_NAMESPACE = b"fun"
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


def _key(job: str, name: str) -> bytes:
    """Where *name* is kept. Ray forgets what is there when *job*, and what it left, has ended."""
    return f"RemoteFunction:{job}:nbray:{name}".encode()


def keep(job: str, name: str, value: bytes) -> bool:
    """Keep *value* in the cluster, as long as *job* (8 hexadecimal digits) or its detached actors.

    Among the functions that Ray itself keeps for a job. False: this release has no such store.
    """
    put = getattr(_kv(), "_internal_kv_put", None)
    if put is None:
        return False
    put(_key(job, name), value, overwrite=True, namespace=_KV_NAMESPACE)
    return True


def kept(job: str, name: str) -> bytes | None:
    """What *job* has kept by this name; None: nothing."""
    get = getattr(_kv(), "_internal_kv_get", None)
    return get(_key(job, name), namespace=_KV_NAMESPACE) if get is not None else None


_TOKEN_NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")


def use_token(token: str = "") -> dict[str, str]:
    """Have this process show *token*, or Ray's own if the machine has one and nobody objects.

    A cluster that `ray.init` or `ray start` began asks for it, and a driver that joins shows it by
    itself only where RAY_AUTH_MODE says so. A release without tokens takes no notice.

    Returns:
        What `unuse_token` is to be given where the token was not the right one.
    """
    before = {name: os.environ[name] for name in _TOKEN_NAMES if name in os.environ}
    named = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    there = bool(os.environ.get("RAY_AUTH_TOKEN")) or Path(named).is_file()
    if token:
        os.environ["RAY_AUTH_TOKEN"] = token
    if token or (there and "RAY_AUTH_MODE" not in os.environ):
        os.environ["RAY_AUTH_MODE"] = "token"
    _read_again()
    return before


def unuse_token(before: dict[str, str]) -> None:
    """Show what was shown before `use_token`."""
    for name in _TOKEN_NAMES:
        os.environ.pop(name, None)
    os.environ.update(before)
    _read_again()


def _read_again() -> None:
    """Have Ray read what says which token to show: it was read as Ray was imported."""
    own = getattr(ray, "_raylet", None)
    begin = getattr(getattr(own, "Config", None), "initialize", None)
    if begin is not None:
        begin("")
    loader = getattr(own, "AuthenticationTokenLoader", None)
    if loader is not None:
        loader.instance().reset_cache()


def token() -> str:
    """The token that this process shows ('': none, or this release does not tell)."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return ""
    given = os.environ.get("RAY_AUTH_TOKEN")
    if given:
        return given.strip()
    named = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    try:
        return Path(named).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def asks_for_token(address: str) -> bool:
    """Whether the head at *address* refuses this process for its token (False: unknown).

    `ray.init` itself would try for 20 seconds, and then say that nobody answers.
    """
    client = getattr(getattr(ray, "_raylet", None), "GcsClient", None)
    refused = getattr(ray.exceptions, "AuthenticationError", None)
    if client is None or refused is None:
        return False
    try:
        client(address=address)
    except refused:
        return True
    except Exception:  # noqa: BLE001 - whatever it is, `ray.init` will say
        return False
    return False


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


def submitters() -> tuple[Any, Any, Any] | None:
    """The classes whose `_remote` submits tasks, makes actors and calls them (None: others)."""
    import ray.remote_function

    homes = (
        getattr(ray.remote_function, "RemoteFunction", None),
        getattr(ray.actor, "ActorClass", None), getattr(ray.actor, "ActorMethod", None),
    )  # fmt: skip
    return homes if all(hasattr(one, "_remote") for one in homes) else None


def task_of(found: Any) -> bytes:
    """The 24 bytes of the id of the task that makes *found*, what a submission gave (b'': none)."""
    one = found[0] if isinstance(found, list) and found else found
    one = getattr(one, "_generator_ref", one)
    ask = getattr(one, "task_id", None)
    return bytes(ask().binary()) if ask is not None else b""


def reference_of(task: bytes) -> Any:
    """A reference to the first return of *task*."""
    return ray.ObjectRef(task + (1).to_bytes(4, "little"))


def class_of(remote: Any) -> Any:
    """The class behind one of Ray's actor classes; None: unknown."""
    known = getattr(remote, "__ray_metadata__", None)
    return getattr(known, "modified_class", None)


def trial_of(given: Any) -> str:
    """The name of the trial of Tune that an actor with these keyword arguments runs ('': none)."""
    config = given.get("config") if isinstance(given, dict) else None
    about = config.get("__trial_info__") if isinstance(config, dict) else None
    return str(getattr(about, "trial_name", None) or "")
