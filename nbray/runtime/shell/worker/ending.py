"""User code that ends its process, and an actor that nobody has: what of it is still done.

Owns the order: the actor's own `__ray_shutdown__`, then `atexit`, its `__del__`, then the head is
told that it is not to be made again, and its node what it has run. Does not own what an
answer says (`executor`).
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import traceback
from typing import Any, NoReturn

from nbray.exceptions import is_end_of_actor
from nbray.ids import HEAD
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.worker.brain import WorkerBrain
from nbray.runtime.core.worker.describing import untold
from nbray.wire.messages import BecomeActor, EndActor

ANSWERS_FIRST = 0.02
"""Seconds that answers, which go to callers directly, have before these hear from the head that
the actor is dead."""
WHY = "it ended itself by exit_actor() or __ray_terminate__"


def run_last(instance: Any, answered: bool) -> None:
    """What the actor itself has to say at its end, and what is registered with `atexit`.

    Where it has just *answered*, callers have time to read that.
    """
    _run(instance, "__ray_shutdown__")
    atexit._run_exitfuncs()
    _run(instance, "__del__")
    if answered:
        time.sleep(ANSWERS_FIRST)


def _run(instance: Any, name: str) -> None:
    last = getattr(instance, name, None)
    try:
        if last is not None:
            last()
    except Exception:  # noqa: BLE001 - the user's code; the actor ends all the same
        sys.stderr.write(traceback.format_exc())


def end_for_good(brain: WorkerBrain, actor: BecomeActor) -> list[ClientEffect]:
    """Tell the head that the actor is dead, whatever `max_restarts` says, and what it has run."""
    spec = actor.spec
    return [*untold(brain), Send(HEAD, EndActor(brain.me, spec.owner, spec.actor, True, WHY))]


def leave(executor: Any, error: SystemExit) -> NoReturn:
    """User code ends the process, as in Ray: its answer is that the worker has died."""
    answered = bool(executor.brain.done)
    executor.flush()
    if is_end_of_actor(error) and executor.actor is not None:
        run_last(executor.instance, answered)
        effects = end_for_good(executor.brain, executor.actor)
        executor.loop.locked(lambda: effects)
    if isinstance(error.code, str):
        executor.output.add("stderr", error.code + "\n")
    executor.loop.locked(executor.output.take)
    executor.loop.close(linger=0.5)
    os._exit(error.code if isinstance(error.code, int) else 1 if error.code else 0)
