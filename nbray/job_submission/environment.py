"""The runtime environment of a submitted job: for its program here, and for what that launches.

Owns what of it travels with the job, and the folder, variables and packages that the job's program
has. Does not own how they are made (`hosting`), nor the environments of tasks. Rule: what the job's
program connects with has the job's environment, too: by RAY_JOB_CONFIG_JSON_ENV_VAR, as in Ray, and
the archives in the folder that NBRAY_JOB_ARCHIVES names.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbray.config import JOB_ARCHIVES
from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting import kept_folders
from nbray.hosting.environments import expanded, not_made
from nbray.hosting.setup_progress import SetupProgress
from nbray.runtime_env import SETUP_SECONDS, absent, checked


def packed(given: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(the environment as it is kept with the job, the archives that it names).

    Raises:
        ValueError, TypeError: it is no environment.
        RuntimeEnvSetupError: a folder cannot be packed.
    """
    if given is None:
        return {}, {}
    environment = checked(given)
    if callable(environment.get("worker_process_setup_hook")):
        raise TypeError(
            "worker_process_setup_hook: a submitted job can name a function, as 'module.function'"
        )
    from nbray.hosting.packages import packed as packed_folders  # late: few jobs have any

    text, archives = packed_folders(environment)
    return (json.loads(text) if text else {}), archives


class JobEnvironment:
    """That of one job's program. *folder*: the job's own; *archives*: what `packed` gave."""

    def __init__(
        self, environment: Mapping[str, Any], archives: Mapping[str, bytes], folder: Path
    ) -> None:
        self._environment = environment
        self._archives = archives
        self._folder = folder
        self._used: list[Path] = []
        self.working_dir = ""
        """Where the program runs; '' if nothing says so."""

    def variables(self, progress: SetupProgress, environ: Mapping[str, str]) -> dict[str, str]:
        """Make all of it; the variables of the program, over *environ*.

        Raises:
            RuntimeEnvSetupError: it cannot be made; says why.
        """
        env = self._environment
        why = absent(env)
        if why:
            raise RuntimeEnvSetupError(why)
        limit = (env.get("config") or {}).get("setup_timeout_seconds", SETUP_SECONDS)
        until = None if limit == -1 else time.monotonic() + limit
        found = dict(environ)
        for name, value in (env.get("env_vars") or {}).items():
            found[name] = expanded(value, found)
        try:
            paths = self._unpack(found, until)
            if env.get("pip") or env.get("uv"):
                from nbray.hosting import virtual_environments

                place = virtual_environments.made(env, until, progress, found, self.working_dir)
                self._used.append(place)
                found["VIRTUAL_ENV"] = str(place)
                found["PATH"] = f"{place / 'bin'}{os.pathsep}{found.get('PATH', os.defpath)}"
        except (OSError, ValueError, TimeoutError) as error:
            raise not_made(error, limit, until) from None
        if paths:
            before = found.get("PYTHONPATH", "")
            found["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, before]))
        return found

    def _unpack(self, found: dict[str, str], until: float | None) -> list[str]:
        if not self._archives and not self._environment.get("working_dir"):
            return []
        from nbray.hosting import unpacking  # late: few jobs have any

        kept = self._folder / "archives"
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in self._archives.items():
            (kept / name).write_bytes(data)
        found[JOB_ARCHIVES] = str(kept)

        def fetch(name: str) -> bytes:
            with suppress(KeyError):
                return self._archives[name]
            raise ValueError(f"nobody has {name}")

        home = self._folder / "unpacked"
        home.mkdir(mode=0o700, exist_ok=True)
        self.working_dir, paths = unpacking.folders(self._environment, home, fetch, until)
        return paths

    def end(self) -> None:
        """The program has ended."""
        while self._used:
            kept_folders.let_go(self._used.pop())
