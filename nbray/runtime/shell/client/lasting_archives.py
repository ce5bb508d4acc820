"""The folders of a job that a detached actor goes on with when the job has ended.

Owns how a client has their archives held by an actor on the head's node (`hosting.archive_keeper`).
Does not own archives (`hosting.packages`) nor who unpacks them. Rule: only who makes a detached
actor in a job with folders comes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nbray import session
from nbray.engine import ActorInfo, Function
from nbray.hosting.archive_keeper import ArchiveKeeper
from nbray.ids import FIRST_NODE, OWN_CELL, OWN_NAMESPACE, ObjectKey
from nbray.options import BARE, ActorOptions, MethodOptions
from nbray.wire.messages import Environment

if TYPE_CHECKING:
    from nbray.engine import Engine
    from nbray.runtime.shell.client.memory import Memory

NAME = "archives"
"""Of the actor, in nbray's own namespace."""


def lasting(memory: Memory, env: Environment, user: ObjectKey) -> Environment:
    """*env* with archives that outlive the job, for the actor *user*."""
    engine: Engine = memory.engine
    archives = {name: memory.restore(*key) for name, key in env.packages.items()}
    token = session.cell.set(OWN_CELL)
    try:
        blank = ActorInfo(0, 0, "ArchiveKeeper", {"hold": MethodOptions()})
        options = ActorOptions(
            num_cpus=0, name=NAME, namespace=OWN_NAMESPACE, lifetime="detached",
            get_if_exists=True, node=FIRST_NODE, runtime_env=BARE,
        )  # fmt: skip
        keeper = Function(ArchiveKeeper, "ArchiveKeeper")
        info, life = engine.actors.create(keeper, (), {}, options, blank)
        refs = engine.actors.call(info, life, "hold", (user, archives), {}, MethodOptions())
        held = engine.get(refs, None)[0]
        packages = {name: (ref.owner, ref.seq) for name, ref in held.items()}
        return msgspec.structs.replace(env, packages=packages)
    finally:
        session.cell.reset(token)
