"""A Ray cluster for this process: started on this machine, or joined.

Owns what is refused, each in one sentence. Does not own what is done with it (`engine`).
"""

from __future__ import annotations

import os
import socket
from typing import Any

import ray

from nbray.config import InitConfig
from nbray.engines.ray import private
from nbray.engines.ray.engine import RayEngine
from nbray.exceptions import AuthenticationError, NoClusterError, RaySystemError

CONNECT_SECONDS = 5.0


def start(config: InitConfig) -> RayEngine:
    """Connect to the Ray cluster that *config* names, or start one on this machine.

    Raises:
        RaySystemError: it cannot be started or reached; one sentence.
    """
    if private.is_worker():
        return RayEngine(config, worker=True)
    mine = config.address in {"", "local"}
    if config.detached:
        raise RaySystemError(
            "a Ray cluster that nbray starts ends with its process: for one that stays run `ray "
            "start --head` in a terminal, then nbray.init('auto', engine='ray')"
        )
    given: dict[str, Any] = {"namespace": config.namespace or None, "logging_level": "ERROR"}
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    if config.runtime_env:
        given["runtime_env"] = dict(config.runtime_env)
    if mine:
        resources = dict(config.resources)
        given |= {
            "address": "local", "num_cpus": config.num_cpus, "num_gpus": config.num_gpus,
            "_memory": resources.pop("memory", None),
            "resources": resources or None, "labels": config.labels or None,
            "object_store_memory": config.object_store_memory,
            "include_dashboard": False,
        }  # fmt: skip
    else:
        if config.address != "auto" and not _listens(config.address):
            raise NoClusterError(_unreached(config.address, "nothing listens there"))
        given["address"] = config.address
        before = private.use_token(config.secret)
        if config.address != "auto" and private.asks_for_token(config.address):
            private.unuse_token(before)
            raise AuthenticationError(_unknown(config))
    given["log_to_driver"] = config.log_to_driver
    try:
        ray.init(**given)
    except ConnectionError as error:
        raise NoClusterError(_unreached(config.address, error)) from None
    except (ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise RaySystemError(f"Ray could not be started or joined: {error}") from None
    return RayEngine(config, mine=mine)


def _listens(address: str) -> bool:
    """Whether somebody does at host:port; Ray itself would ask for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _unknown(config: InitConfig) -> str:
    """What is said to who has not the cluster's token."""
    given = "another token than it was given" if config.secret else "a token"
    return (
        f"the Ray cluster at {config.address} asks for {given}: on its machine "
        "`ray get-auth-token` prints it, and here `%nbray attach --engine ray HOST:PORT "
        "--secret-file FILE` or RAY_AUTH_TOKEN shows it"
    )


def _unreached(address: str, error: object) -> str:
    if address == "auto":
        return (
            "no Ray cluster runs on this machine: start one with `ray start --head`, or call "
            "nbray.init(engine='ray') without an address"
        )
    return f"the Ray cluster at {address} does not answer: {error}"
