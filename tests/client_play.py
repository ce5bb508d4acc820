"""A client's brain without processes: on a stage for its playbooks, and for shells around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nbray.ids import DRIVER_FLAG, HEAD, client_id, node_client, node_of
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.objects.objects import LIFE, Entry
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.effects import Effect, Send
from nbray.wire import messages as m

ME = client_id(1, DRIVER_FLAG | 1)
NODE = node_client(1)
WORKER, OTHER, OWNER = client_id(1, 2), client_id(1, 3), client_id(1, 4)
CPU = {"CPU": 10_000}


class FakeLoop:
    """A client's loop that sends nothing: what would go is in `sent`."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.now = time.monotonic

    def flush(self) -> None:
        """Nothing has arrived."""

    def locked(self, action: Callable[[], Any]) -> None:
        self.sent += action()


def brain_of_two_nodes() -> ClientBrain:
    """A driver's brain that knows two nodes, of which the second has ended."""
    brain = ClientBrain(ME, 1, lambda *_: b"")
    for number, alive in ((1, True), (2, False)):
        brain.members[number] = m.NodeInfo(number, "host", "127.0.0.1", 1, {}, {}, alive=alive)
    return brain


def make_error(kind: str, text: str, cause: bytes = b"", actor: str = "") -> bytes:
    return f"{kind}: {text}".encode() + cause


def sent(effects: list[Effect], kind: type, to: int | None = None) -> list[Any]:
    return [
        effect.message
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, kind) and to in (None, effect.to)
    ]


class Play:
    """A client whose messages are said to it, one by one."""

    def __init__(self) -> None:
        self.brain = ClientBrain(ME, 1, make_error)
        self.now = 10.0

    def say(self, message: Any) -> list[Effect]:
        return [*self.brain.handle(message, self.now), *self.brain.pump(self.now)]

    def work(self, name: str = "f", retries: int = 3, spec: int = 1) -> Work:
        described = m.Spec(spec, name.encode(), name, 1, b"", "", ME, 0, CPU)
        pool = self.brain.tasks.pools.pool(CPU, 0, 0)
        return Work(described, retries, pool, Tally("", self.now), b"code")

    def task(self, work: Work, deps: tuple[m.Ref, ...] = ()) -> Task:
        seq = next(self.brain.objects.numbers)
        task = Task(seq, work, b"", 1)
        if deps:
            task.deps = list(enumerate(deps))
            task.pins = deps
        self.brain.objects.promise(task, seq, 1)
        self.brain.submitted.append(task)
        return task

    def grant(self, worker: int = WORKER, lease: int = 7) -> list[Effect]:
        return self.say(m.Granted(NODE, 1, lease, worker))


KEY = (ME, 900)
CALL = m.Spec(1, b"", "add", 1, b"", "", ME, 0, {})


class Caller:
    """A client that calls one actor, `KEY`."""

    def __init__(self, me: int = ME) -> None:
        self.brain = ClientBrain(me, node_of(me), make_error)
        if me == ME:
            self.brain.objects.owned[KEY[1]] = Entry(KEY, 1, LIFE)
        else:
            self.brain.objects.foreign[KEY] = Entry(KEY, 1, LIFE)

    def call(self, retries: int = 0, *deps: m.Ref) -> tuple[Entry, list[m.Calls]]:
        seq = next(self.brain.objects.numbers)
        task = Task(seq, Work(CALL, retries, None, Tally("", 0.0), b""), b"", 1)
        if deps:
            task.deps, task.pins = list(enumerate(deps)), deps
        self.brain.objects.promise(task, seq, 1)
        entry = self.brain.objects.owned[seq]
        self.brain.submitted.append((self.brain.actors.call, KEY, "A", task))
        return entry, sent(self.brain.pump(1.0), m.Calls)

    def told(self, state: int, incarnation: int, worker: int = 0) -> list[m.Calls]:
        message = m.ActorState(HEAD, *KEY, state, incarnation, worker, "it was killed", b"")
        effects = [*self.brain.handle(message, 1.0), *self.brain.pump(1.0)]
        return sent(effects, m.Calls)
