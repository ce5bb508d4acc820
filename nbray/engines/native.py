"""The native engine's door: start or find a cluster, and become its driver.

The only module outside `runtime` that sees it. Owns no state: what is started
is written in the run directory, and ends with its owner. Rule: what is imported
here at once is what it takes to start root's interpreter; root loads its modules
while the rest is imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nbray import session
from nbray.config import (
    JOB_CONFIG,
    InitConfig,
    NodeRequest,
    Owner,
    join_line,
    memory_guard,
    spill_limit,
)
from nbray.exceptions import AuthenticationError, NoClusterError, RaySystemError
from nbray.ids import DRIVER_FLAG, client_id, drawn
from nbray.runtime.shell.launch.starting import Root, dismiss, reap, spawn, start_root
from nbray.runtime.shell.machine.descriptors import widen

if TYPE_CHECKING:
    from nbray.runtime.shell.client.engine import NativeEngine
    from nbray.runtime.shell.launch.rundir import Record

__all__ = [
    "alive", "bounds", "find", "records", "settle", "start", "start_node", "stop_session",
]  # fmt: skip

RECORD_SECONDS = 2.0
REJOIN_PATIENCE = 10.0
"""Seconds that `init` waits for a machine which joins its cluster again."""


def start(config: InitConfig) -> NativeEngine:
    """Connect to the cluster that *config* names, starting what is missing on this machine.

    Raises:
        RaySystemError: it cannot be started or reached; says why, in one sentence.
        AuthenticationError: the secret is not the cluster's.
        VersionMismatchError: the cluster runs another Python or nbray.
    """
    widen()
    try:
        if config.address in {"", "local"}:
            record, mine = _start_local(config)
        elif config.address == "auto":
            from nbray.runtime.shell.launch import rundir

            found = rundir.find("auto")
            if found is None:
                raise NoClusterError(
                    "no nbray runs on this machine: start one with `nbray start --head`, or call "
                    "nbray.init() without an address"
                )
            record, mine = found, False
        else:
            record, mine = _find_or_join(config)
    except NoClusterError:
        raise
    except OSError as error:
        raise RaySystemError(error.strerror or str(error)) from None
    try:
        return _connect(record, config, mine)
    except BaseException:
        if mine or config.detached:
            stop_session(record, 1.0)
        raise


def records() -> list[Record]:
    """The live sessions of this user on this machine, youngest first."""
    from nbray.runtime.shell.launch import rundir

    return rundir.read_all()


def alive(record: Record) -> bool:
    """Whether a session still runs."""
    from nbray.runtime.shell.launch import rundir

    return rundir.alive(record)


def stop_session(record: Record, timeout: float = 10.0) -> None:
    """End a session; what is left after *timeout* seconds is killed."""
    from nbray.runtime.shell.launch import rundir

    rundir.stop_session(record, timeout)


def bounds() -> list[str]:
    """What bounds a node that is started here: a sentence for each, with what changes it."""
    from nbray.runtime.shell.machine import bounds as found

    return list(found.bounds())


def find(address: str) -> Record | None:
    """The live session here of the cluster at *address* ('' or 'auto': the youngest).

    Raises:
        ValueError: that is no address.
    """
    from nbray.runtime.shell.launch import rundir

    return rundir.find(address)


def _among_own(request: NodeRequest) -> NodeRequest:
    """*request* with address and secret of the cluster that it means, if this user has it here.

    Loopback is another machine to whoever looks from another network namespace.
    """
    from nbray.runtime.shell.launch import rundir

    given = request.address
    everywhere = rundir.read_all(only_this_netns=False)
    record = rundir.find(given) or next(
        (one for one in everywhere if given in {one.head_address, one.address}), None
    )
    if record is None:
        return request
    address = record.head_address if record.head or given == "auto" else given
    secret = request.secret or record.secret
    return msgspec.structs.replace(request, address=address, secret=secret)


def settle(request: NodeRequest) -> tuple[NodeRequest, list[str]]:
    """*request* with secret and node_ip filled in, and warnings of one line each.

    Raises:
        ValueError: it cannot be carried out; one sentence for the user.
    """
    from nbray.runtime.shell.network import address

    if request.address:
        request = _among_own(request)
    if request.num_gpus:
        from nbray import gpus

        why = gpus.complaint(request.num_gpus)
        if why:
            raise ValueError(why)
    return address.settle(request)


def start_node(request: NodeRequest, root: Root | None = None) -> Record:
    """Start a node of its own in the background; returns once it serves its cluster.

    Args:
        request: settled.
        root: begun by `spawn` already.

    Raises:
        RaySystemError, AuthenticationError, VersionMismatchError, OSError: it
            cannot; one sentence. Nothing is left running.
    """
    memory_guard(os.environ)  # or what is wrong with it is said by nobody
    spill_limit()
    if request.head:
        from nbray.runtime.core.node.idle import limits

        limits(request.idle_timeout, os.environ)  # or what is wrong with them is said by nobody
    owner, meanwhile = request.ends_with, _nothing
    if request.owner is Owner.DRIVER:
        owner = os.getpid()
    if request.owner is not Owner.DAEMON:
        meanwhile = _import_client
    started = start_root(request, owner, meanwhile=meanwhile, root=root)
    return _record(Path(started.directory))


def _started_by_command(config: InitConfig) -> Record | None:
    """The cluster of `nbray start` on this machine, if *config* names none and asks for no size.

    As in Ray, that is the cluster which `init()` means.
    """
    sizes = (
        config.num_cpus, config.num_gpus, config.object_store_memory, config.resources or None,
        config.spill_directory or None,
        config.labels or None, config.detached or None, config.secret or None,
        config.node_ip_address or None,
    )  # fmt: skip
    if config.address or any(size is not None for size in sizes):
        return None
    from nbray.runtime.shell.launch import rundir

    record = rundir.started_by_command()
    return record and (rundir.find(record.head_address) or record)


def _nothing() -> None:
    """Nobody attaches."""


def _import_client() -> None:
    """What this process needs to attach, loaded while the node starts."""
    from nbray.runtime.core.node import troubles  # noqa: F401
    from nbray.runtime.shell.client import engine, registering  # noqa: F401
    from nbray.runtime.shell.process import watching  # noqa: F401
    from nbray.wire import codec

    codec.client_decoder()


def _record(folder: Path) -> Record:
    deadline = time.monotonic() + RECORD_SECONDS
    while True:
        for record in records():
            if record.directory == str(folder):
                return record
        if time.monotonic() > deadline:
            raise RaySystemError("the node started but ended at once: see `nbray status`")
        time.sleep(0.005)


def _start_local(config: InitConfig) -> tuple[Record, bool]:
    """The node of a new cluster, or of that of `nbray start`; whether it ends with this process."""
    root = spawn()
    try:
        found = _started_by_command(config)  # while root loads
        if found is not None:
            dismiss(root)
            return found, False
        request, _ = settle(
            NodeRequest(
                head=True,
                node_ip=config.node_ip_address or "127.0.0.1",
                num_cpus=config.num_cpus,
                num_gpus=config.num_gpus,
                resources=config.resources,
                labels=config.labels,
                object_store_memory=config.object_store_memory,
                spill_directory=config.spill_directory,
                secret=config.secret,
                owner=Owner.DETACHED if config.detached else Owner.DRIVER,
                dashboard=config.dashboard,
                dashboard_port=config.dashboard_port,
            )
        )
    except BaseException:
        dismiss(root)
        raise
    return start_node(request, root), not config.detached


def _find_or_join(config: InitConfig) -> tuple[Record, bool]:
    """The node on this machine that belongs to the cluster; one without CPUs if there is none."""
    from nbray.runtime.shell.launch import rundir
    from nbray.runtime.shell.network.address import parse_address
    from nbray.wire.secret import Secret

    address = config.address
    try:
        parse_address(address)
    except ValueError as error:
        raise RaySystemError(str(error)) from None
    record = rundir.find(address)
    if record is not None:
        if config.secret and Secret.parse(config.secret).text != Secret.parse(record.secret).text:
            raise AuthenticationError(
                f"the secret given is not that of the cluster at {address}: use the one that "
                "`nbray start --head` printed"
            )
        return record, False
    if not config.secret:
        raise AuthenticationError(
            f"the cluster at {address} has a secret: give it as _redis_password, as "
            "`nbray start --head` printed it"
        )
    request, _ = settle(
        NodeRequest(
            head=False, address=address, num_cpus=0, num_gpus=0, secret=config.secret,
            node_ip=config.node_ip_address, owner=Owner.DRIVER,
        )
    )  # fmt: skip
    return start_node(request), True


def _joined(record: Record) -> Record:
    """*record*, once its machine belongs to the cluster: one that lost it joins it again."""
    deadline = time.monotonic() + REJOIN_PATIENCE
    while not record.node:
        if time.monotonic() > deadline or not alive(record):
            raise RaySystemError(
                f"this machine has lost the cluster at {record.head_address}, which does not "
                "answer; it joins again as soon as it does (`nbray stop` ends that)"
            )
        time.sleep(0.05)
        record = next((one for one in records() if one.directory == record.directory), record)
    return record


def _connect(record: Record, config: InitConfig, mine: bool) -> NativeEngine:
    from nbray.patches import signal_handlers
    from nbray.runtime.core.node.troubles import WHO
    from nbray.runtime.shell.client.engine import NativeEngine
    from nbray.runtime.shell.client.loop import Loop
    from nbray.runtime.shell.client.registering import open_brain, register
    from nbray.runtime.shell.launch import rundir
    from nbray.runtime.shell.process.client_watching import Beside, Shortage
    from nbray.wire.messages import Printed

    record = _joined(record)
    folder = Path(record.directory)
    me = client_id(record.node, DRIVER_FLAG | drawn() >> 32)
    post, brain = open_brain(me, folder)
    loop = Loop(post, brain, brain.handle, swap_handler=True)
    try:
        registered = register(
            loop, brain, driver=True, namespace=config.namespace, looks=config.looks
        )
    except BaseException:
        loop.close(0)
        raise

    def joinable(address: str) -> str:
        return join_line(address or record.head_address, record.secret)

    def end() -> None:
        signal_handlers.no_longer()
        session.on_modules.remove(engine.calls.modules_changed)
        if mine and not rundir.outlives(record):
            with contextlib.suppress(OSError):
                stop_session(record, 3.0)
            reap(record.root_pid)

    engine = NativeEngine(
        brain,
        loop,
        registered=registered,
        namespace=config.namespace,
        folder=record.directory,
        on_shutdown=end,
        joinable=joinable if record.head else None,
    )
    if config.runtime_env or JOB_CONFIG in os.environ:
        try:
            engine.calls.environments.begin(config.runtime_env, engine.put)
            if said := engine.calls.environments.described():
                brain.entered(said)
            engine.calls.environments.tell_job(me)
        except BaseException:
            loop.close(0)
            raise
    session.on_modules.append(engine.calls.modules_changed)
    engine.context.raises = config.infeasible == "raise"
    if not config.log_to_driver:
        engine.cells.on_output(lambda _output: None)
    signal_handlers.hold(loop.postpone)
    loop.after.append(engine.after_round)
    loop.after.append(Beside(registered.node_pid, brain.end).look)

    def say(text: str) -> None:
        brain.printed.append(Printed(me, "", os.getpid(), WHO, "stderr", text))

    loop.after.append(Shortage(lambda: post.short_since, say).look)
    if "ipykernel" not in sys.modules:  # there the bars say it
        told: set[str] = set()

        def lacking(why: str) -> None:
            if why not in told:
                told.add(why)
                say(f"{why}\n")

        brain.tasks.lacking = lacking
        brain.begins = lambda what: say(f"nbray: {what} for this work\n")
    return engine
