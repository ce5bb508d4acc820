"""What one client may ask about the whole cluster: what all processes do; and to change it:
a node to leave, a port to be opened.

Owns the lock around the survey and around the list of what is held. Does not own
the questions and answers (`core.survey`, `core.describing`, `core.drain`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from nbray import gpus
from nbray.details import Details, HoldingRecord
from nbray.engine import RuntimeInfo
from nbray.exceptions import RaySystemError
from nbray.ids import FIRST_NODE, client_hex, node_client, node_hex
from nbray.runtime.core import describing
from nbray.runtime.core.client import ClientBrain
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.placement import units
from nbray.runtime.core.worker import Item, WorkerBrain
from nbray.runtime.shell.loop import Loop
from nbray.wire import messages as m

if TYPE_CHECKING:
    from nbray.runtime.shell.memory import Memory


def holdings(
    loop: Loop, brain: ClientBrain, address: Callable[[int, int], tuple[int, int]]
) -> list[HoldingRecord]:
    """What is held (see `Engine.holdings`); *address* says where an object is mapped, and views."""
    found: list[HoldingRecord] = []

    def look() -> list[ClientEffect]:
        effects = brain.pump(time.monotonic())
        found.extend(describing.holdings(brain.objects, brain.unfinished()))
        return effects

    loop.locked(look)
    return [
        msgspec.structs.replace(one, views=views, address=where)
        for one in found
        for where, views in [address(one.object.owner, one.object.seq)]
    ]


def look_around(loop: Loop, brain: ClientBrain, wanted: int) -> Details:
    """What is known so far; asks for more (see `Engine.details`)."""
    now = time.monotonic()
    found: list[Details] = []

    def look() -> list[ClientEffect]:
        alive = {node.number for node in brain.members.values() if node.alive}
        survey = brain.survey()
        found.append(survey.details(now, alive))
        return survey.ask(alive, wanted, now) if not brain.ended else []

    loop.locked(look)
    # When the answers came, by a clock that people read.
    return msgspec.structs.replace(found[0], wall=time.time() - (now - found[0].now))


def end_node(loop: Loop, brain: ClientBrain, number: int, gently: bool) -> None:
    """Have a node leave (see `Engine.end_node`)."""
    loop.flush()  # take what has arrived
    member = brain.members.get(number)
    if member is None or not member.alive:
        raise ValueError(f"node {number} has left the cluster already")
    if number == FIRST_NODE:
        raise ValueError("the head's node cannot leave its cluster: %nbray stop ends it all")
    if number == brain.node:
        raise ValueError("this notebook is attached through that node: detach it first")
    message = m.Drain(brain.me) if gently else m.Exit(brain.me, "it was asked to leave at once")
    loop.locked(lambda: [Send(node_client(number), message)])


def join_line(memory: Memory, me: int, joinable: Callable[[str], str] | None) -> str:
    """Have the port opened, and say how to join by it (see `Engine.join_line`)."""
    if joinable is None:
        raise RaySystemError(
            "only the driver can hand out the line for joining: call it in the notebook"
        )
    answer = memory.request(memory.node, lambda token: m.OpenPort(me, token))
    if answer.why:
        raise RaySystemError(answer.why)
    return joinable(answer.address)


def described(node: m.NodeInfo, cluster: int) -> dict[str, Any]:
    """A node as `nbray.nodes()` gives it: Ray's keys, and NodeNumber and IsHead."""
    return {
        "NodeID": node_hex(node.number, cluster),
        "Alive": node.alive,
        "NodeManagerAddress": node.ip,
        "NodeManagerHostname": node.name,
        "NodeManagerPort": node.port,
        "NodeName": node.ip,
        "NodeNumber": node.number,
        "IsHead": node.is_head,
        "alive": node.alive,
        "Resources": units(node.total) if node.alive else {},
        "Labels": {},
    }


def where(
    brain: ClientBrain, registered: m.Registered, item: Item | None, worker: WorkerBrain | None,
    known: RuntimeInfo,
) -> RuntimeInfo:  # fmt: skip
    """Where code runs that is in *item*, or in no task; *known* has the rest."""
    actor = worker.actor if worker is not None else None
    job = item.spec.job if item is not None else brain.me
    assigned: dict[str, float] = {}
    attempt = 0
    if actor is not None:
        assigned = units(actor.spec.resources)
        job = actor.spec.job
    elif item is not None:
        assigned = units(item.spec.resources)
        attempt = item.extra.attempt if item.extra is not None else 0
    here = brain.members.get(brain.node)  # fresher: opening the port moves the head's node
    return msgspec.structs.replace(
        known,
        job_id=client_hex(job),
        node_id=node_hex(brain.node, registered.cluster),
        worker_id=client_hex(brain.me),
        task_id=f"{item.caller:016x}{item.seq & ((1 << 64) - 1):016x}" if item else "",
        task_name=item.spec.name if item else "",
        actor_id=f"{actor.spec.owner:016x}{actor.spec.actor:016x}" if actor else "",
        actor_name=actor.spec.name if actor else "",
        was_restarted=bool(actor and actor.incarnation > 0),
        attempt=attempt,
        node_ip=here.ip if here is not None else registered.ip,
        gpus=gpus.own().ids(item.gpus if item is not None else actor.gpus if actor else ()),
        assigned=assigned,
    )
