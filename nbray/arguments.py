"""The arguments of `nbray.init`, checked one by one, with Ray's names.

Owns which there are, which of Ray's have no effect here, and what is said of them.
Does not own what they mean (`config`). Rule: a bad one is refused with a sentence
before anything has been done, and one without effect says so.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from nbray.config import InitConfig
from nbray.options import did_you_mean, number, text_of

_SILENT = {
    "configure_logging", "logging_level", "logging_format", "logging_config",
    "_metrics_export_port", "_memory", "_enable_object_reconstruction",
}  # fmt: skip
"""Ray's arguments of `init` about which no warning is given: there is no log to configure, and
the port of metrics and the memory for tasks are read by `init` itself."""
_WITHOUT_EFFECT = {
    "dashboard_host": "the dashboard listens on 127.0.0.1 only",
    "proxy_server_url": "the dashboard is reached by jupyter-server-proxy",
    "allow_multiple": "a process is in one cluster at a time",
    "_temp_dir": "NBRAY_RUN_DIR says where the session's folder is",
    "_system_config": "NBRAY_* variables and arguments of init() are all the settings",
    "_plasma_directory": "the store is memory without files",
    "_redis_max_memory": "there is no Redis",
    "_tracing_startup_hook": "there is no tracing; see nbray.timeline()",
    "_node_name": "a node has its machine's name",
}
"""Ray's arguments of `init` that do nothing here, and what to know instead: said once a call."""
HARMLESS = {*_SILENT, *_WITHOUT_EFFECT, "local_mode"}
OWN = {
    "address", "num_cpus", "num_gpus", "resources", "object_store_memory", "namespace",
    "ignore_reinit_error", "log_to_driver", "runtime_env", "engine", "detached", "_redis_password",
    "_node_ip_address", "include_dashboard", "dashboard_port", "job_config",
    "object_spilling_directory",
}  # fmt: skip


LEAST_STORE = 10_000_000
"""Bytes that an object store has at least."""
DEFAULT_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")


class NoCustomResource(ValueError, AssertionError):
    """`init` was given a resource that has an argument of its own; Ray asserts that it is none."""


class UnknownArgument(TypeError, RuntimeError):
    """`init` was given what it does not know; Ray raises a `RuntimeError`."""


def refuse_unknown(others: Mapping[str, Any]) -> None:
    for name in others:
        if name in HARMLESS:
            continue
        hint = did_you_mean(name, OWN | HARMLESS)
        raise UnknownArgument(
            f"init() got an unknown argument {name!r}{hint} (Unknown keyword argument(s): {name})"
        )


def say_without_effect(others: Mapping[str, Any]) -> None:
    if not isinstance(others.get("_system_config") or {}, dict):
        raise TypeError("The _system_config must be a dict.")
    logs = others.get("logging_config")
    if logs is not None and not hasattr(logs, "encoding"):
        raise TypeError(f"logging_config must be a LoggingConfig, not {type(logs).__name__}")
    said = [
        f"{name} ({_WITHOUT_EFFECT[name]})"
        for name, value in others.items()
        if name in _WITHOUT_EFFECT and value not in (None, False)
    ]
    if said:
        warnings.warn(f"init(): no effect here: {', '.join(said)}", UserWarning, stacklevel=3)


def refuse_sizes(wanted: InitConfig) -> None:
    given = [
        name
        for name, value in (
            ("num_cpus", wanted.num_cpus),
            ("num_gpus", wanted.num_gpus),
            ("resources", wanted.resources or None),
            ("object_store_memory", wanted.object_store_memory),
            ("object_spilling_directory", wanted.spill_directory or None),
            ("detached", wanted.detached or None),
        )
        if value is not None
    ]
    if given:
        raise ValueError(
            f"init(address={wanted.address!r}) joins a running cluster, whose size is what it "
            f"is: leave out {', '.join(given)}"
        )


def address(given: str | None) -> str:
    address = text("address", given).strip()
    if address in {"", "auto"}:  # the environment says which, as in Ray
        named = os.environ.get("NBRAY_ADDRESS", "") or os.environ.get("RAY_ADDRESS", "")
        address = named.strip() or address
    if address in {"", "auto", "local"}:
        return address
    if address.startswith("ray://"):
        raise ValueError(
            f"address {address!r}: nbray does not use Ray's client, which Ray has deprecated. It "
            "is an ordinary driver on a machine of the Ray cluster: run it there, or have this "
            "machine join with `ray start --address=HOST:PORT --num-cpus=0` and give 'auto'"
        )
    if "://" in address:
        raise ValueError(
            f"address {address!r}: nbray has no separate client protocol; give HOST:PORT, "
            "the address that `nbray start --head` printed"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"address must be 'auto', 'local' or 'HOST:PORT', not {address!r}")
    return address


def cluster_address(given: str | None) -> str:
    """Where a cluster is that runs already: '', 'auto', 'HOST:PORT' or a dashboard's link.

    Raises:
        ValueError, TypeError: it is something else.
    """
    given = text("address", given).strip()
    if given in {"", "auto"}:
        names = ("NBRAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
        given = next(filter(None, map(os.environ.get, names)), given).strip()
    if given.startswith(("http://", "https://")):
        return given
    found = address(given)
    return "" if found == "local" else found


def text(name: str, value: Any) -> str:
    return "" if value is None else text_of(name, value)


def engine(given: Any) -> str:
    """The engine that `init` means: of this name, of NBRAY_ENGINE, else of where the code runs.

    In a worker process of Ray's, of whichever library, that is the Ray cluster it belongs to.
    """
    named = text("engine", given) or os.environ.get("NBRAY_ENGINE", "")
    if named or "RAY_RAYLET_PID" not in os.environ:
        return named or "native"
    theirs = sys.modules.get("ray")  # a program that such a worker started has not loaded it
    asked = getattr(theirs, "is_initialized", None)
    return "ray" if asked is not None and asked() else "native"


def folder(name: str, value: Any) -> str:
    """A folder by its whole path; '' for None."""
    given = "" if value is None else os.fspath(value)
    if not isinstance(given, str):
        raise TypeError(f"{name} must be a path, not {type(value).__name__}")
    return str(Path(given).expanduser().absolute()) if given else ""


def amount(name: str, value: Any) -> float | None:
    return None if value is None else cast("float", number()(name, value))


def size(name: str, value: Any) -> int | None:
    given = amount(name, value)
    return None if given is None else int(given)


def store_size(value: Any) -> int | None:
    """Bytes of a node's object store.

    Raises:
        TypeError, ValueError: that is none, or too little to be of use.
    """
    given = size("object_store_memory", value)
    if given is not None and given < LEAST_STORE:
        raise ValueError(
            f"Attempting to cap object store memory usage at {given} bytes, but the minimum "
            f"allowed is {LEAST_STORE} bytes."
        )
    return given


def switch(name: str, value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value is not False


def port(name: str, value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a port number, not {type(value).__name__}")
    if not 0 <= value < 65536:
        raise ValueError(f"{name} must lie between 0 and 65535, not {value}")
    return value


def resources(given: Any, memory: Any = None) -> dict[str, float]:
    """The resources of a node; *memory*: bytes for tasks (None: what the store leaves)."""
    found: dict[str, float] = {}
    if memory is not None:
        found["memory"] = float(amount("_memory", memory) or 0)
    if given is None:
        return found
    if not isinstance(given, Mapping):
        raise TypeError("resources must be a dictionary of name to amount")
    for name, value in given.items():
        if not isinstance(name, str) or name in DEFAULT_RESOURCES:
            raise NoCustomResource(
                f"resources: `{name}` cannot be a custom resource: it is no string, or one of the "
                "default resources (CPUs and GPUs are num_cpus and num_gpus, and the store is "
                "object_store_memory)"
            )
        found[name] = float(amount(f"resources[{name!r}]", value) or 0)
    return found


def environment(runtime_env: Any) -> Any:
    """The job's environment, checked; None if it is none."""
    if runtime_env is None:
        return None
    from nbray.runtime_env import checked  # late: few jobs have one

    return checked(runtime_env) or None


def labels(given: Any) -> dict[str, str]:
    if not given:
        return {}
    from nbray.labels import check  # once somebody has any

    return check(given)


def job(given: Any, namespace: Any, runtime_env: Any) -> tuple[Any, Any, bool]:
    """(namespace, environment): what `init` itself was given, else what its *job_config* has.

    The third: whether actors are detached that say nothing.

    Raises:
        TypeError: *given* is no JobConfig, nor a dictionary.
    """
    from nbray.job_config import JobConfig  # late: few programs have one

    if isinstance(given, Mapping):
        given = JobConfig.from_json(given)
    if not isinstance(given, JobConfig):
        raise TypeError(f"job_config must be a JobConfig, not {type(given).__name__}")
    detaches = given.default_actor_lifetime == "detached"
    return namespace or given.ray_namespace, runtime_env or given.runtime_env or None, detaches


def infeasible(given: Any) -> str:
    if given not in (None, "wait", "raise"):
        raise ValueError(f"infeasible must be 'wait' or 'raise', not {given!r}")
    return given or "wait"


def hint(value: Any) -> str:
    """What to do about a *value* that is given for a reference, for the end of an error."""
    if hasattr(type(value), "_ray_actor_id"):  # the handle of an actor
        return " (call one of the actor's methods with .remote() first)"
    if hasattr(value, "remote"):
        return " (call it with .remote() first)"
    if value is None:
        return " (a task with num_returns=0 has no result)"
    return ""
