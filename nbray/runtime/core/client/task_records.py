"""One client's tasks as records: what is known of a function, a task, a lease, a queue.

Owns the records and what follows from one alone: how much a worker may be
given ahead, whether dependencies are ready. Does not own what happens to them
(`tasks`, `actors`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from nbray.config import MIXED_SECONDS, PIPELINE_MAX, PIPELINE_SECONDS, QUIET_SECONDS
from nbray.ids import node_client, node_of
from nbray.runtime.core.client.objects.objects import PENDING, Entry, Objects
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.where import Where
from nbray.wire.messages import Extra, Ref, Returned, Shape, Spec, Value

ErrorMaker = Callable[..., bytes]
"""(class name in nbray.exceptions, message, packed cause = b"") -> packed error; the shell's."""

BATCH_BYTES = 1 << 20
"""Most bytes of arguments in one message."""


class Work:
    """What a client knows of one spec: how long it takes, and whom it was sent to."""

    __slots__ = ("captured", "erratic", "estimate", "expendable", "function", "max_calls",
                 "max_retries", "modules", "pool",
                 "spec", "tally")  # fmt: skip

    def __init__(
        self, spec: Spec, max_retries: int, pool: ShapePool | None, tally: Tally, function: bytes
    ) -> None:
        self.spec = spec
        self.max_retries = max_retries
        self.pool = pool
        self.tally = tally
        self.function = function
        """The pickled function, for workers that have not seen it."""
        self.modules: tuple[bytes, bytes] | None = None
        """(hash, packed form) of the driver's own modules, for the same."""
        self.captured: tuple[Ref, ...] = ()
        """What the function takes along: every task holds it."""
        self.estimate = -1.0
        """Seconds a task takes (moving average); negative: unknown."""
        self.erratic = False
        self.max_calls = 0
        """A worker ends after so many of its tasks (0: it stays)."""
        self.expendable = False
        """The actor whose method it is may be killed to cancel it with force."""

    def ahead(self, remote: bool) -> int:
        """How many tasks a worker may hold, the running one included."""
        estimate = self.estimate
        if estimate < 0 or self.erratic or self.max_retries == 0 or self.max_calls:
            return 1
        if estimate > 0.1:
            return 1
        budget = 2 * PIPELINE_SECONDS if remote else PIPELINE_SECONDS
        return max(2, min(PIPELINE_MAX, int(budget / (estimate + 2e-6)) + 1))

    def measured(self, count: int, micros: int, longest: int) -> None:
        """A batch of *count* tasks took *micros* in all, the longest *longest*."""
        mean = micros / count / 1e6
        if self.estimate < 0:
            self.estimate = mean
        else:
            weight = 0.5 if count > 1 else 0.3
            self.estimate += weight * (mean - self.estimate)
        self.erratic = longest > 50_000 and longest > 10 * micros / count


class Task:
    """One task or actor call between submission and outcome.

    A return that lies in the store keeps the task that made it, as the recipe by which it
    can be made again: `work`, `args`, `extra`, `deps` and `pins` stay as they are after the
    outcome. A recipe names objects and holds none (`held`).
    """

    __slots__ = ("args", "attempt", "cancelled", "deps", "extra", "held", "lease", "life",
                 "missing", "near", "parent", "pins", "returns", "seq", "sink", "work")  # fmt: skip
    near: int
    """The node where most of its arguments lies (see `locality`): once these are known, if there
    are references among them."""

    def __init__(self, seq: int, work: Work, args: bytes, returns: int) -> None:
        self.seq = seq
        self.work = work
        self.args = args
        self.returns = returns
        self.extra: Extra | None = None
        self.deps: list[tuple[int | str, Ref]] | None = None
        """Top-level references among the arguments; `extra` has their values when it is sent."""
        self.pins: tuple[Ref, ...] = ()
        """Objects that it takes, in whatever way."""
        self.held = False
        """`pins` are held: from its submission until it ends."""
        self.life: Ref | None = None
        """The life of the actor that it calls, held likewise."""
        self.missing = 0
        """Dependencies that are not ready."""
        self.lease: Any = None
        """The lease or actor link it was sent to."""
        self.attempt = 0
        self.cancelled = False
        self.parent: tuple[int, int] | None = None
        """(caller, number) of the task or call that submitted it, in a worker."""
        self.sink: Any = None
        """Told when the dependencies are ready."""

    @property
    def tried(self) -> str:
        """' (the last of 4 attempts: max_retries=3)', for an error; '' if this was the first."""
        if not self.attempt:
            return ""
        return f" (the last of {self.attempt + 1} attempts: max_retries={self.work.max_retries})"

    @property
    def unsent(self) -> bool:
        """Whether it waits for its arguments."""
        return bool(self.missing) and self.lease is None

    def settle(self, entry: Entry) -> None:
        """A dependency is ready (see `objects.Waiter`)."""
        self.missing -= 1
        if self.missing == 0:
            self.sink.runnable(self)


class LeasedWorker:
    """A worker that runs tasks of one shape for this client."""

    __slots__ = ("alone", "began", "dead", "gpus", "id", "idle_since", "inflight", "last", "node",
                 "parked", "reclaimed", "spent", "stalled", "worker")  # fmt: skip

    def __init__(self, number: int, worker: int, gpus: list[int], now: float) -> None:
        self.id = number
        self.worker = worker
        self.node = node_of(worker)
        self.gpus = gpus
        self.inflight: dict[int, Task] = {}
        self.reclaimed = False
        self.stalled = False
        self.parked = False
        """The task that runs here had lent its CPU, and goes on with this lease's."""
        self.alone = False
        """What it runs must not run twice, or may take long: nothing is queued behind it."""
        self.last: Work | None = None
        """That of the last task that it was sent."""
        self.spent = False
        """Its worker has run as many tasks of a function as `max_calls` allows."""
        self.dead = False
        self.idle_since = now
        self.began = now
        """When what it runs was sent, or what ran before it ended."""

    def takes_more(self, work: Work, now: float) -> bool:
        """Whether tasks of *work* may be queued behind what it runs.

        A worker gives its queue back when a task takes long, but not while C code (a sum, a
        sort, a regular expression) keeps its interpreter's lock. And what has taken a while may
        take long the next time: others than its own kind do not wait for it.
        """
        if self.alone or now - self.began >= QUIET_SECONDS:
            return False
        last = self.last
        return last is work or last is None or last.estimate < MIXED_SECONDS


class ShapePool:
    """Tasks of one shape, and the leases that serve them."""

    __slots__ = ("depth", "ended", "env", "group", "id", "infeasible", "kind", "leases", "node",
                 "once", "passed", "queue", "raises", "resources", "sent", "waiting",
                 "where")  # fmt: skip

    def __init__(
        self, number: int, resources: Shape, depth: int, node: int, where: Where | None = None,
        raises: bool = True, group: str = "", env: bytes = b"",
    ) -> None:  # fmt: skip
        self.id = number
        self.resources = resources
        self.depth = depth
        self.node = node
        self.env = env
        self.once = False
        """Its tasks must not run twice."""
        self.queue: deque[Task] = deque()
        self.passed = (0, 0)
        """The number of a task that was first in the queue, and how often others, nearer to a
        worker, went before it."""
        self.leases: dict[int, LeasedWorker] = {}
        self.sent = 0
        """The count of the last `Demand`."""
        self.waiting = ""
        self.infeasible = ""
        self.kind = "TaskUnschedulableError"
        self.ended = False
        """Its placement group has: nothing runs in it any more."""
        """What error says so."""
        self.where = where
        self.raises = raises
        """What no node can do fails, instead of waiting for one that can."""
        self.group = group
        """The placement group whose resources these are."""

    def usable(self) -> list[LeasedWorker]:
        """The leases that may get more, for a queue: those with least first, of these near ones."""
        leases = [
            lease
            for lease in self.leases.values()
            if not (lease.reclaimed or lease.stalled or lease.dead or lease.parked)
        ]
        first = self.queue[0]
        near = 0 if first.deps is None else first.near
        leases.sort(key=lambda lease: (len(lease.inflight), near and lease.node != near))
        return leases


def returned(client: int, lease: int, worker: int, spent: bool = False) -> list[ClientEffect]:
    """A lease goes back to the node of its worker."""
    return [Send(node_client(node_of(worker)), Returned(client, lease, worker, spent))]


def at_work(leases: dict[int, LeasedWorker]) -> Iterator[tuple[str, LeasedWorker]]:
    """The leases of these workers that run something, with its cell; it looks at copies."""
    for lease in list(leases.values()):
        for first in list(lease.inflight.values())[:1]:
            yield first.work.spec.cell, lease


def why_unrun(work: Work) -> str:
    """Why a task failed that has not run, in a few words for a table."""
    if work.pool is None:
        return "its actor has ended"
    return work.pool.infeasible or "one of its arguments failed"


def with_attempt(extra: Extra | None, attempt: int) -> Extra:
    """*extra* as sent for this attempt."""
    if extra is None:
        return Extra(attempt=attempt)
    if attempt == extra.attempt:
        return extra
    return Extra(extra.args, extra.args_ref, extra.deps, attempt, extra.captured)


def weight(extra: Extra | None) -> int:
    """Bytes of values that travel in *extra*."""
    if extra is None:
        return 0
    size = 0 if extra.args is None else len(extra.args.data)
    for _, value, _ in extra.deps:
        size += len(value.data)
    return size


def watch_dependencies(objects: Objects, task: Task) -> list[ClientEffect]:
    """Count the task's pending dependencies and have it told of each."""
    effects: list[ClientEffect] = []
    pending: list[Entry] = []
    for _, key in task.deps or ():
        entry = objects.find(key)
        if entry is None or not entry.count:  # it is new here: its owner hears of us first
            effects += objects.settle_added()
            entry = objects.require(key)
        if entry.state == PENDING:
            entry.put_waiter(task)
            pending.append(entry)
    task.missing = len(pending)
    if pending:
        effects += objects.ask(pending)
    return effects


def fill_dependencies(
    objects: Objects, task: Task, effects: list[ClientEffect], error: ErrorMaker | None = None
) -> Value | None:
    """Put the values of ready dependencies into the task, as they are known now.

    If one is being made again, all are watched once more instead: `task.missing` says so.

    Returns:
        The error of one that failed, instead: with *error* as the task passes it on.
    """
    deps: list[tuple[int | str, Value, Ref]] = []
    for where, key in task.deps or ():
        entry = objects.require(key)
        if entry.state == PENDING:
            effects += watch_dependencies(objects, task)
            return None
        value = objects.value_of(entry)
        if value.failed:
            if error is None:
                return value
            return Value(error("RayTaskError", task.work.spec.name, value.data), failed=True)
        deps.append((where, value, key))
    extra = task.extra
    if extra is None:
        task.extra = Extra(deps=deps)
    else:
        task.extra = Extra(extra.args, extra.args_ref, deps, extra.attempt, extra.captured)
    return None
