"""Entering an environment in a worker: its variables, folders, packages and hook.

Owns the order of the steps and what they change in this process. Does not own folders
(`unpacking`) nor virtual environments (`virtual_environments`). Rules: a process enters one
environment in its life, before any code of its work runs; what fails is a
`RuntimeEnvSetupError` that says which field it was.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting.setup_progress import SetupProgress
from nbray.runtime_env import SETUP_SECONDS, absent

_LEFT = re.compile(r"\$\{[A-Z0-9_]+\}")


def enter(
    text: str, folder: Path, fetch: Callable[[str], bytes], progress: SetupProgress
) -> None:
    """Enter the environment *text* (JSON).

    Args:
        folder: private to this machine's part of the cluster: archives are unpacked there.
        fetch: the bytes of an archive that the text names.
        progress: where it is said what goes on.

    Raises:
        RuntimeEnvSetupError: it cannot be made here.
    """
    env = json.loads(text)
    why = absent(env)
    if why:
        raise RuntimeEnvSetupError(why)
    limit = (env.get("config") or {}).get("setup_timeout_seconds", SETUP_SECONDS)
    until = None if limit == -1 else time.monotonic() + limit
    _set(env.get("env_vars") or {})
    try:
        if env.get("working_dir") or env.get("py_modules"):
            from nbray.hosting import unpacking

            unpacking.enter(env, folder, fetch, until)
        if env.get("pip") or env.get("uv"):
            from nbray.hosting import virtual_environments

            virtual_environments.enter(env, until, progress)
    except (OSError, ValueError, TimeoutError) as error:
        raise not_made(error, limit, until) from None
    if env.get("worker_process_setup_hook"):
        _run_hook(env["worker_process_setup_hook"], fetch)


def not_made(error: Exception, limit: float, until: float | None) -> RuntimeEnvSetupError:
    """What is raised where *error* kept an environment from being made.

    Args:
        limit: seconds that were allowed; they end at *until* (of `time.monotonic`).
    """
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, TimeoutError) and until is not None and time.monotonic() >= until:
        said = (
            f"Failed to install runtime_env within the timeout of {limit:g} seconds. Consider "
            "increasing the timeout in the runtime_env config: "
            f'{{"config": {{"setup_timeout_seconds": {limit * 3:g}}}}}\n{error}'
        )
    return RuntimeEnvSetupError(said)


def summary(text: str) -> str:
    """The environment *text* in a few words; of variables only the names."""
    env = json.loads(text)
    parts = []
    for tool in ("pip", "uv"):
        if env.get(tool):
            from nbray.hosting.virtual_environments import listed

            parts.append(f"{tool} {listed(env[tool]['packages'])}")
    parts += [name for name in ("working_dir", "py_modules") if env.get(name)]
    names = sorted(env.get("env_vars") or ())
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        parts.append(f"env_vars {', '.join(names[:3])}{more}")
    return " · ".join(parts)


def expanded(value: str, environ: Mapping[str, str]) -> str:
    """*value* with `${NAME}` and `$NAME` replaced; what is not set is nothing."""

    def found(match: re.Match[str]) -> str:
        return environ.get(match[1] or match[2], match[0])

    return _LEFT.sub("", re.sub(r"\$(?:\{(\w+)\}|(\w+))", found, value))


def _set(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        os.environ[name] = expanded(value, os.environ)
    if "PYTHONPATH" in variables:  # this process has its path already
        from nbray.hosting.unpacking import add_paths  # late: most have only variables

        add_paths(filter(None, os.environ["PYTHONPATH"].split(os.pathsep)))
    if "TZ" in variables:
        time.tzset()


def _run_hook(name: str, fetch: Callable[[str], bytes]) -> None:
    from nbray.hosting.packages import PICKLED  # late: few have a hook

    _, pickled, archive = name.partition(PICKLED)
    try:
        if pickled:
            hook = pickle.loads(fetch(archive))
        else:
            module, _, function = name.rpartition(".")
            hook = getattr(importlib.import_module(module), function)
        hook()
    except Exception as error:  # noqa: BLE001 - the user's hook raises what it likes
        raise RuntimeEnvSetupError(
            f"worker_process_setup_hook failed: {type(error).__name__}: {error}"
        ) from None
