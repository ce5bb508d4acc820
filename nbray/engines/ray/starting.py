"""A Ray cluster for this process: started on this machine, or joined.

Owns what is refused, each in one sentence. Does not own what is done with it (`engine`).
"""

from __future__ import annotations

import os
from typing import Any

import ray

from nbray.config import InitConfig
from nbray.engines.ray import private
from nbray.engines.ray.engine import RayEngine
from nbray.exceptions import NoClusterError, RaySystemError


def start(config: InitConfig) -> RayEngine:
    """Connect to the Ray cluster that *config* names, or start one on this machine.

    Raises:
        RaySystemError: it cannot be started or reached; one sentence.
    """
    if private.is_worker():
        return RayEngine(config, worker=True)
    if config.address.startswith("ray://"):
        raise RaySystemError(
            "nbray is an ordinary driver on a machine of the Ray cluster, and does not connect by "
            f"{config.address!r}, Ray's client, which Ray has deprecated: run it on a machine of "
            "the cluster, or have this one join with "
            "`ray start --address=HOST:6379 --num-cpus=0`"
        )
    mine = config.address in {"", "local"}
    given: dict[str, Any] = {"namespace": config.namespace or None, "logging_level": "ERROR"}
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    if config.runtime_env:
        given["runtime_env"] = dict(config.runtime_env)
    if mine:
        given |= {
            "address": "local", "num_cpus": config.num_cpus, "num_gpus": config.num_gpus,
            "resources": config.resources or None, "labels": config.labels or None,
            "object_store_memory": config.object_store_memory,
            "include_dashboard": False,
        }  # fmt: skip
    else:
        given["address"] = config.address
        private.use_token()
    given["log_to_driver"] = config.log_to_driver
    try:
        ray.init(**given)
    except ConnectionError as error:
        raise NoClusterError(_unreached(config.address, error)) from None
    except (ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise RaySystemError(f"Ray could not be started or joined: {error}") from None
    return RayEngine(config, mine=mine)


def _unreached(address: str, error: Exception) -> str:
    if address == "auto":
        return (
            "no Ray cluster runs on this machine: start one with `ray start --head`, or call "
            "nbray.init(engine='ray') without an address"
        )
    return f"the Ray cluster at {address} does not answer: {error}"
