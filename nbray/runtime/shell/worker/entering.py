"""A worker enters the environment of its work, before any of it is loaded.

Owns that it happens once, what is said meanwhile, and that a failure is remembered for a while.
Does not own what entering is (`hosting.environments`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from nbray.exceptions import RayError, RuntimeEnvSetupError
from nbray.runtime.shell.client.environments import Environments
from nbray.runtime.shell.client.memory import Memory
from nbray.wire.messages import Environment

AGAIN_SECONDS = 5.0
"""Seconds after which an environment that could not be made is tried again."""


Enter = Callable[[Environment], None]
"""Has this process be in an environment, before anything of its work is loaded."""


def no_environment(_env: Environment) -> None:
    """Where no process can enter one."""
    raise RuntimeEnvSetupError("no environment can be entered here")


class Entering:
    """That of one worker. *folder*: private to this machine's part of the cluster."""

    def __init__(self, environments: Environments, memory: Memory, folder: Path) -> None:
        self._environments = environments
        self._memory = memory
        self._folder = folder
        self._failed: tuple[str, float] | None = None

    def enter(self, env: Environment) -> None:
        """Be in *env* from now on.

        Raises:
            RuntimeEnvSetupError: it cannot be made here; says why.
        """
        here = self._environments.here
        if here is not None and here.key == env.key:
            if env.packages:
                self._environments.here = env  # another job's, of the same content
            return
        if self._failed is not None:
            why, until = self._failed
            if time.monotonic() < until:
                raise RuntimeEnvSetupError(why)
        from nbray.hosting import environments  # late: few workers have one

        def fetch(name: str) -> bytes:
            key = env.packages.get(name)
            if key is None:
                raise ValueError(f"nobody has {name}")
            try:
                data: bytes = self._memory.fetched(self._memory.restore(*key))
            except RayError as error:
                raise RuntimeEnvSetupError(f"{name} cannot be had any more: {error}") from None
            return data

        try:
            environments.enter(env.text, self._folder, fetch, _say)
        except RuntimeEnvSetupError as error:
            self._failed = (error.error_message or "", time.monotonic() + AGAIN_SECONDS)
            error.__traceback__ = None
            raise
        self._environments.entered(env)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
