"""A worker enters the environment of its work, before any of it is loaded.

Owns that it happens once, what is said meanwhile, and that a failure is remembered for a while.
Does not own what entering is (`hosting.environments`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from nbray.details import EnvironmentRecord
from nbray.exceptions import RayError, RuntimeEnvSetupError
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import Send
from nbray.runtime.shell.client.environments import Environments
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory
from nbray.wire.messages import Environment, SettingUp

AGAIN_SECONDS = 5.0
"""Seconds after which an environment that could not be made is tried again."""
TELL_SECONDS = 1.0
"""Seconds after which it is said again what goes on; a new line is said after a third of that."""
LINE = 160
"""Most characters of an installer's line that are told."""


Enter = Callable[[Environment, int, str], None]
"""Has this process be in an environment, before anything of its work is loaded: (the environment,
the driver of the work, its cell)."""


def no_environment(_env: Environment, _job: int, _cell: str) -> None:
    """Where no process can enter one."""
    raise RuntimeEnvSetupError("no environment can be entered here")


class Entering:
    """That of one worker. *folder*: private to this machine's part of the cluster."""

    def __init__(
        self, environments: Environments, memory: Memory, folder: Path, loop: Loop,
        brain: ClientBrain,
    ) -> None:  # fmt: skip
        self._environments = environments
        self._memory = memory
        self._folder = folder
        self._loop = loop
        self._brain = brain
        self._failed: tuple[str, float] | None = None

    def enter(self, env: Environment, job: int, cell: str) -> None:
        """Be in *env* from now on.

        Args:
            job, cell: who is told what goes on meanwhile.

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
        from nbray.hosting.setup_progress import uncoloured

        def fetch(name: str) -> bytes:
            key = env.packages.get(name)
            if key is None:
                raise ValueError(f"nobody has {name}")
            try:
                data: bytes = self._memory.fetched(self._memory.restore(*key))
            except RayError as error:
                raise RuntimeEnvSetupError(f"{name} cannot be had any more: {error}") from None
            return data

        told = Told(self._loop, self._brain.me, job, cell)
        said = environments.summary(env.text)
        began = time.monotonic()
        try:
            environments.enter(env.text, self._folder, fetch, told)
        except RuntimeEnvSetupError as error:
            why = error.error_message or ""
            self._failed = (why, time.monotonic() + AGAIN_SECONDS)
            self._brain.entered(EnvironmentRecord(said, env.text, why=uncoloured(why)))
            error.__traceback__ = None
            raise
        self._environments.entered(env)
        self._brain.entered(EnvironmentRecord(said, env.text, time.monotonic() - began))


class Told:
    """What goes on, for the cell of a driver (see `hosting.setup_progress`)."""

    def __init__(self, loop: Loop, me: int, job: int, cell: str) -> None:
        self._loop = loop
        self._me = me
        self._job = job
        self._cell = cell
        self._last = ("", "")
        self._at = 0.0

    def say(self, text: str) -> None:
        """A line under the cell."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def now(self, what: str, line: str) -> None:
        """What the bars under the cell say while it lasts."""
        line = line[:LINE]
        since = time.monotonic() - self._at
        if what == self._last[0] and what:
            if since < (TELL_SECONDS if line == self._last[1] else TELL_SECONDS / 3):
                return
        elif not what and not self._last[0]:
            return
        self._last, self._at = (what, line), time.monotonic()
        message = SettingUp(self._me, self._cell, what, line)
        self._loop.locked(lambda: [Send(self._job, message)])
