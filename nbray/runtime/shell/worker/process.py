"""A worker process, from its fork to its end.

Owns the wiring of brain, loop, executor and engine in a worker. `main` is
called by root in the forked child and never returns to it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nbray import session
from nbray.hosting import showing
from nbray.hosting.descriptors import Descriptors, unbuffer
from nbray.hosting.imports import Imports
from nbray.hosting.output import Origin, Output, Shown, plain_streams, raw_stream
from nbray.ids import client_hex
from nbray.patches import process_end, signal_handlers, threads
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.worker.brain import WorkerBrain
from nbray.runtime.shell.client.engine import NativeEngine
from nbray.runtime.shell.client.loop import REST_POLL, Loop
from nbray.runtime.shell.client.registering import open_brain, register
from nbray.runtime.shell.machine import oom_scores
from nbray.runtime.shell.machine import resources as machine
from nbray.runtime.shell.process.client_watching import Shortage
from nbray.runtime.shell.process.log import Notes
from nbray.runtime.shell.worker.entering import Entering
from nbray.runtime.shell.worker.executor import FLUSH_SECONDS, Executor, running
from nbray.runtime.shell.worker.run_queue import queueing
from nbray.wire import messages as m

if TYPE_CHECKING:
    from nbray.runtime.shell.process.channel import WorkerConfig

SWITCH_SECONDS = 0.0005
"""A busy main thread yields this often: the loop thread answers in its stead."""
LATE_SECONDS = 0.01
"""Answers and output that the main thread has not sent for so long leave without it."""


def sending(me: int, pid: int) -> Callable[[Origin, str, str | Shown], ClientEffect]:
    """How what tasks of client *me* print and show travels to the drivers of their jobs."""

    def send(origin: Origin, stream: str, what: str | Shown) -> ClientEffect:
        if isinstance(what, str):
            return Send(origin.job, m.Printed(me, origin.cell, pid, origin.task, stream, what))
        shown = m.Displayed(
            sender=me, cell=origin.cell, pid=pid, task=origin.task, data=what.data,
            metadata=what.metadata, display_id=what.display_id, update=what.update,
            size=what.size,
        )  # fmt: skip
        return Send(origin.job, shown)

    return send


def _become_actor(before_its_end: Callable[[], None]) -> None:
    """This process is an actor's: it goes later than others, and answers before it ends itself."""
    process_end.first(before_its_end)
    oom_scores.become_actor()


def main(config: WorkerConfig) -> None:
    """Run until the node, the actor or the user's code ends this process."""
    sys.setswitchinterval(SWITCH_SECONDS)
    post, client = open_brain(config.me, Path(config.directory))
    brain = WorkerBrain(client, time.process_time, queueing())
    executor: Executor | None = None

    def handle(message: m.ToClient, now: float) -> list[ClientEffect]:
        effects = brain.handle(message, now)
        if executor is not None:
            if type(message) is m.Cancel:
                executor.on_cancel()
            elif type(message) is m.Calls or type(message) is m.Exit or type(message) is m.Taken:
                executor.arrived()
            elif type(message) is m.Shown:
                executor.output.shown(message.sender, message.size)
        return effects

    loop = Loop(post, client, handle, swap_handler=False)
    registered = register(loop, client, driver=False, namespace="")
    imports = Imports()
    engine = NativeEngine(
        client,
        loop,
        registered=registered,
        namespace="",
        folder=config.directory,
        worker=brain,
        running=running.get,
        modules=imports,
    )
    logs = Path(config.directory) / "logs"
    stem = logs / f"worker-{client_hex(client.me)}"
    descriptors = Descriptors(stem, given=True, memory=machine.memory)
    unbuffer()
    output = Output(
        sending(client.me, os.getpid()),
        lambda: None if executor is None else executor.origin(),
        descriptors,
    )
    executor = Executor(
        brain, loop, engine.memory, output, client.node_name(client.node), imports, _become_actor
    )
    executor.functions.enter = Entering(
        engine.calls.environments, engine.memory, Path(config.directory), loop, client
    ).enter
    engine.context.loaded = executor.functions.get
    executor.install_interrupt()
    brain.ready()
    loop.busy = brain.busy
    loop.lone = lambda: (
        executor.taken <= 1 if brain.current is None else client.tasks.unfinished <= 1
    )
    loop.on_interrupt = executor.raise_if_cancelled

    def look_after(now: float) -> list[ClientEffect]:
        """In the loop thread, while the main thread is busy: answers leave without it."""
        executor.functions.let_go(now)
        executor.remind()
        effects: list[ClientEffect] = []
        since = now - executor.flushed
        if since > LATE_SECONDS or (
            (brain.done or brain.yields.waiting) and since > FLUSH_SECONDS
        ):
            executor.flushed = now
            effects = output.take()
            if not output.behind():  # what tasks wrote leaves before their answers
                effects += executor.gathered(raw=True)
        if client.printed:
            engine.after_round(now)
        return [*effects, *brain.tick(now), *brain.report(now)]

    def push() -> bool:
        """Send what was printed; False in a thread that must not wait for others."""
        if client.ended or loop.closed or loop.held_here():
            return False
        loop.locked(output.take)
        return True

    output.push = push
    output.gone = lambda job: client.objects.lost(job) is not None
    loop.after.append(look_after)
    loop.after.append(Shortage(lambda: post.short_since, Notes("nbray").say).look)
    loop.busy_poll = FLUSH_SECONDS
    loop.rest_poll = REST_POLL
    for number, stream in ((1, "stdout"), (2, "stderr")):
        raw = raw_stream(number)
        setattr(sys, f"__{stream}__", raw)
        setattr(sys, stream, output.stream(stream, raw))
    os.register_at_fork(after_in_child=plain_streams)
    os.register_at_fork(after_in_child=executor.in_fork)
    session.install(engine)
    session.publish_to(output)
    threads.follow()
    signal_handlers.hold(loop.postpone)
    showing.install()
    try:
        executor.run()
    finally:
        with contextlib.suppress(Exception):
            loop.close(linger=0.5)
