"""What a driver and a worker do to become clients of their node.

Owns the first exchange (`Register`, `Registered`) and the making of errors.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from nbray import exceptions
from nbray.config import lineage_bytes, memory_retries, unread_bytes
from nbray.exceptions import RayActorError, RaySystemError, VersionMismatchError
from nbray.ids import node_client, node_of
from nbray.runtime.core import versions
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import Send
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.process.sockets import Post
from nbray.wire.failures import UNMADE, in_rays_words, passed_on
from nbray.wire.messages import Register, Registered
from nbray.wire.pickling import pack_error, unpack_error

REGISTER_SECONDS = 20.0
_PROGRAM = 1000
"""Characters of a driver's command line that are told at most."""


def make_error(kind: str, text: str, cause: bytes = b"", actor: str = "") -> bytes:
    """A packed nbray error of class *kind* (a name in `nbray.exceptions`).

    The text of the packed error *cause* is put behind *text*; a "RayTaskError" is that of the
    task *text*, one of whose arguments has failed with *cause*.

    Args:
        actor: which it is about, as hexadecimal digits; with *cause* it could not be made.
    """
    if kind == "RayTaskError":
        return passed_on(cause, text)
    if cause:
        made = unpack_error(cause)
        if isinstance(made, exceptions.RuntimeEnvSetupError):
            return cause
        text = f"{text.removesuffix(': ')} ({UNMADE}): {made}"
    elif kind == "ActorDiedError":
        text += in_rays_words(text)
    elif kind == "WorkerCrashedError":
        text += " (The worker died unexpectedly while executing this task.)"
    error: Exception = getattr(exceptions, kind)(text)
    if isinstance(error, RayActorError):
        error.actor_id = actor or None
        error.actor_init_failed = bool(cause)
    return pack_error(error, "", "", 0)


def open_brain(me: int, directory: Path) -> tuple[Post, ClientBrain]:
    """Sockets and brain of client *me*.

    Raises:
        OSError: the system has no place or descriptor for its sockets; says which.
    """
    try:
        post = Post(me, directory)
    except OSError as error:
        raise OSError(
            error.errno,
            f"no socket can be made under {directory}: {error.strerror or error}. See whether the "
            "disk there is full, and how many files may be open (ulimit -n)",
        ) from None
    brain = ClientBrain(me, node_of(me), make_error)
    brain.tasks.memory.most = memory_retries(os.environ)
    brain.lineage.most = lineage_bytes(os.environ)
    brain.tasks.streams.most_bytes = unread_bytes(os.environ)
    return post, brain


def register(
    loop: Loop, brain: ClientBrain, *, driver: bool, namespace: str, looks: bool = False
) -> Registered:
    """Present this client to its node; starts the loop. *looks*: it is there only to look.

    Raises:
        VersionMismatchError: the node refuses this Python or nbray.
        RaySystemError: the node does not answer, or has no room for another client.
    """
    node = node_client(brain.node)
    program = " ".join(sys.orig_argv)[:_PROGRAM] or sys.executable if driver and not looks else ""
    hello = Register(brain.me, os.getpid(), driver, versions.own(), namespace, program)
    loop.start()
    loop.locked(lambda: [Send(node, hello)])
    loop.wait(
        lambda: brain.registered is not None or bool(brain.refused) or bool(brain.ended),
        time.monotonic() + REGISTER_SECONDS,
        Flag(),
    )
    if brain.refused:
        raise RaySystemError(brain.refused) if brain.full else VersionMismatchError(brain.refused)
    if brain.registered is None:
        why = brain.ended or f"it did not answer within {REGISTER_SECONDS:g} s"
        raise RaySystemError(f"this machine's nbray node cannot be used: {why}")
    return brain.registered
