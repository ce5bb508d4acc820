"""The environment that a client's work is to have: its own over that of where it is submitted.

Owns the job's environment in a driver, the entered one in a worker, and what follows from both for
each task and actor. Does not own its fields (`nbray.runtime_env`) nor entering it
(`shell.worker.entering`). Rule: work without an environment, in a process without one, costs two
comparisons.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbray.config import JOB_ARCHIVES, JOB_CONFIG, JOB_DRIVERS
from nbray.details import EnvironmentRecord
from nbray.options import BARE
from nbray.refs import ObjectRef
from nbray.wire.digest import digest
from nbray.wire.messages import Environment, Ref


class Environments:
    """Those of one client."""

    def __init__(self) -> None:
        self.here: Environment | None = None
        """What work has that asks for nothing: the driver's job's, or what this worker entered."""
        self._made: dict[str, Environment] = {}
        self._held: list[ObjectRef[Any]] = []
        """The job's archives, for as long as the job lives."""

    @property
    def text(self) -> str:
        """That of this process, as it travels; '' if it has none."""
        return "" if self.here is None else self.here.text

    def entered(self, env: Environment) -> None:
        """This process is in *env* from now on."""
        self.here = env
        self._made.clear()

    def of(self, own: str) -> Environment | None:
        """What work has that asks for *own* ('': nothing of its own)."""
        if not own:
            return self.here
        if own == BARE:
            return None
        found = self._made.get(own)
        if found is None:
            from nbray.runtime_env import merged  # late: few ask for any

            here = self.here
            text = merged(self.text, own)
            packages = {} if here is None else here.packages
            packages = {name: key for name, key in packages.items() if name in text}
            if len(self._made) > 256:
                self._made.clear()
            found = self._made[own] = Environment(text, key_of(text), packages)
        return found

    def begin(self, env: Mapping[str, Any] | None, put: Callable[[bytes], ObjectRef[Any]]) -> None:
        """In a driver: every task and actor of the job has this environment.

        In the program of a submitted job: what that was submitted with comes to it.

        Args:
            put: stores an archive.

        Raises:
            RuntimeEnvSetupError: a folder cannot be packed; says why.
            ValueError: the submitted job has another one.
        """
        if config := os.environ.get(JOB_CONFIG):
            env = with_jobs(env, config)
        if not env:
            return
        from nbray.hosting.packages import packed

        packages: dict[str, Ref] = {}
        text, archives = packed(env)
        if folder := os.environ.get(JOB_ARCHIVES):
            for file in Path(folder).iterdir():
                if file.name in text and file.name not in archives:
                    archives[file.name] = file.read_bytes()
        for name, data in archives.items():
            ref = put(data)
            self._held.append(ref)
            packages[name] = (ref.owner, ref.seq)
        self.entered(Environment(text, key_of(text), packages))

    def described(self) -> EnvironmentRecord | None:
        """That of a driver's work, for whoever asks; None without any."""
        if not self.text:
            return None
        from nbray.hosting.environments import summary  # late: few jobs have one

        return EnvironmentRecord(summary(self.text), self.text)

    @staticmethod
    def tell_job(me: int) -> None:
        """In the program of a submitted job: its driver is the client *me*."""
        if file := os.environ.get(JOB_DRIVERS):
            with suppress(OSError), open(file, "a", encoding="ascii") as drivers:
                drivers.write(f"{me} {os.getpid()}\n")

    def end(self) -> None:
        """The driver ends: its archives are let go."""
        self._held.clear()


def with_jobs(own: Mapping[str, Any] | None, config: str) -> Mapping[str, Any] | None:
    """What a driver asks for beside the environment of the submitted job that it is the program of.

    Args:
        config: the job's, as its program is told it: JSON.

    Raises:
        ValueError: both say something of the same.
    """
    import json  # late: few ask for any

    jobs = json.loads(config).get("runtime_env")
    if not jobs or not own:
        return own or jobs
    parts, variables = set(own) & set(jobs) - {"env_vars"}, set()
    if "env_vars" in own and "env_vars" in jobs:
        variables = set(own["env_vars"]) & set(jobs["env_vars"])
    if (parts or variables) and os.environ.get("RAY_OVERRIDE_JOB_RUNTIME_ENV") != "1":
        raise ValueError(
            f"Failed to merge the Job's runtime env {jobs} with a ray.init's runtime env "
            f"{dict(own)} because of a conflict. Specifying the same runtime_env fields or the "
            "same environment variable keys is not allowed. Use RAY_OVERRIDE_JOB_RUNTIME_ENV=1 "
            "to have init's."
        )
    found: dict[str, Any] = {**jobs, **own}
    if "env_vars" in found:
        found["env_vars"] = {**jobs.get("env_vars", {}), **own.get("env_vars", {})}
    return found


def key_of(text: str) -> bytes:
    """By which an environment is known; how it is made does not matter to it."""
    import json  # late: few ask for any

    env = json.loads(text)
    env.pop("config", None)
    return digest(json.dumps(env, sort_keys=True).encode())
