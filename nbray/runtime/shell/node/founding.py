"""How a node comes to be: bind, found or join a cluster, answer the launcher, serve.

Owns the order of a node's first steps and the session's record. Does not own
the node's rounds (`process`) nor the conversation with a head elsewhere
(`joining`). Rule: what goes wrong ends as one `Failed` with one sentence.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import msgspec

from nbray.config import REJOIN_SECONDS, Owner, memory_guard, spill_limit
from nbray.exceptions import AuthenticationError, VersionMismatchError
from nbray.ids import FIRST_NODE, node_client
from nbray.options import UNIT
from nbray.runtime.core import versions
from nbray.runtime.core.node.brain import NodeBrain
from nbray.runtime.core.node.settings import GuardSettings, NodeConfig
from nbray.runtime.core.node.store.disk import Disk
from nbray.runtime.core.node.store.slots import StoreBooks
from nbray.runtime.shell.launch import rundir
from nbray.runtime.shell.machine import resources as machine
from nbray.runtime.shell.machine.descriptors import Room
from nbray.runtime.shell.network.address import LOOPBACK, join_address
from nbray.runtime.shell.network.links import Links
from nbray.runtime.shell.network.listener import Door
from nbray.runtime.shell.node.disk import SpillingError, spill_directory
from nbray.runtime.shell.node.process import Node, Seat
from nbray.runtime.shell.process import channel as p
from nbray.runtime.shell.process.sockets import Post
from nbray.runtime.shell.process.watching import sentence
from nbray.wire import messages as m
from nbray.wire.secret import Secret

REJOIN_PAUSE = 1.0
"""Seconds between two tries to join again."""


def main(
    settings: p.RootConfig, cluster: int, root_pid: int, channel: p.Channel[p.FromRoot]
) -> None:
    """Become a node; returns at its end."""
    try:
        node, started = _found(settings, cluster, root_pid, channel)
    except AuthenticationError as error:
        failed = p.Failed(p.Fault.AUTH, str(error))
    except VersionMismatchError as error:
        failed = p.Failed(p.Fault.VERSION, str(error))
    except ConnectionError as error:
        failed = p.Failed(p.Fault.UNREACHABLE, str(error))
    except SpillingError as error:
        failed = p.Failed(p.Fault.OTHER, str(error))
    except OSError as error:
        failed = p.Failed(p.Fault.PORT, sentence(error))
    else:
        try:
            write_record(settings, started)
        except OSError as error:  # nobody could find what runs here
            failed = p.Failed(
                p.Fault.OTHER,
                f"the run directory cannot be written ({sentence(error)}): free some room under "
                f"{settings.directory}, or set NBRAY_RUN_DIR to another disk",
            )
        else:
            channel.send(p.Ready(started))
            node.run(time.monotonic())
            return
    channel.send(failed)
    sys.exit(1)


def _found(
    settings: p.RootConfig, cluster: int, root_pid: int, channel: p.Channel[p.FromRoot]
) -> tuple[Node, p.Started]:
    """A node; one whose machine has lost its cluster tries for a while to join it again."""
    deadline = time.monotonic() + REJOIN_SECONDS
    while True:
        try:
            return _start(settings, cluster, root_pid, channel)
        except (OSError, AuthenticationError) as error:
            # A head that has just woken up may answer late, or not as one expects.
            if not settings.was or time.monotonic() > deadline:
                raise
            note = f"cannot join the cluster again yet: {error}"
            print(note, file=sys.stderr, flush=True)  # noqa: T201 - the process's log
        if channel.receive() or channel.closed:
            sys.exit(0)  # root wants an end
        time.sleep(REJOIN_PAUSE)


def _start(
    settings: p.RootConfig, cluster: int, root_pid: int, channel: p.Channel[p.FromRoot]
) -> tuple[Node, p.Started]:
    request = settings.request
    secret = Secret.parse(request.secret)
    door = Door(secret, FIRST_NODE if request.head else 0)
    # A notebook's own cluster can be reached from other machines only once it is asked to.
    private = request.head and request.owner is not Owner.DAEMON
    lanes = door if private else door.open()
    brain: NodeBrain | None = None

    def address_of(number: int) -> str:
        info = brain.peers.members.get(number) if brain is not None else None
        return join_address(info.ip, info.port) if info is not None and info.alive else ""

    def known() -> list[int]:
        members = brain.peers.members if brain is not None else {}
        return [number for number in members if address_of(number)]

    links = Links(lanes, address_of, known)
    try:
        bound, port = lanes.bind(LOOPBACK if private else request.node_ip, request.port)
    except OSError:
        lanes.close()
        raise
    total = machine.resources(request)
    info = m.NodeInfo(
        number=FIRST_NODE if request.head else 0, name=machine.host_name(), ip=request.node_ip,
        port=port, total=total, available=dict(total), is_head=request.head, pid=os.getpid(),
        started=time.time(), labels=request.labels,
    )  # fmt: skip
    ours = versions.own()
    members: list[m.NodeInfo] = []
    address = join_address(bound, port)
    head_address = address
    if not request.head:
        from nbray.runtime.shell.node.joining import join

        try:
            welcome = join(links, request.address, secret, info, ours, settings.was)
        except BaseException:
            links.lanes.close()
            raise
        info = msgspec.structs.replace(info, number=welcome.number)
        cluster, members, head_address = welcome.cluster, welcome.nodes, request.address
        links.identify(welcome.number)
    number = info.number
    most, bound = machine.workers(request)
    config = NodeConfig(
        number, cluster, info, ours, head_address, owner=settings.owner_pid,
        cap=max(0, most - total.get("CPU", 0) // UNIT), bound=bound,
        guard=GuardSettings(*memory_guard(os.environ)),
        rejoins=not request.head and request.owner is Owner.DAEMON,
    )
    room = Room()
    capacity = machine.store_bytes(request)
    disk = Disk(spill_directory(request.spill_directory), spill_limit())
    brain = NodeBrain(config, StoreBooks(capacity, number, machine.arena(capacity), disk), room)
    for member in members:
        brain.peers.members.setdefault(member.number, member)
    post = Post(node_client(number), Path(settings.directory))
    started = p.Started(
        number, cluster, settings.directory, address, head_address, root_pid, os.getpid(),
        request.node_ip,
    )  # fmt: skip
    seat = Seat(settings, started, bound, port, partial(write_record, settings))
    return Node(seat, brain, post, links, channel, room), started


def write_record(settings: p.RootConfig, started: p.Started, outlives: bool = False) -> None:
    """Write the record by which this machine's part is found again.

    *outlives*: it does not end with the process that started it any more.
    """
    request = settings.request
    rundir.write(
        rundir.Record(
            directory=settings.directory,
            root_pid=started.root_pid,
            root_started=rundir.process_started(started.root_pid) or 0.0,
            node=started.node,
            head=request.head,
            address=started.address,
            head_address=started.head_address,
            secret=request.secret,
            node_ip=started.ip,
            version=versions.own().nbray,
            python=versions.own().python,
            owner=Owner.DETACHED if outlives else request.owner,
            created=time.time(),
            netns=rundir.namespace("net"),
            pidns=rundir.namespace("pid"),
            cluster=f"{started.cluster:016x}",
            executable=sys.executable,
            owner_pid=0 if outlives else settings.owner_pid,
            dashboard=settings.front,
        )
    )
