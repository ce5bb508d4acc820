"""The worker brain: what to run next, what to give back, what to answer.

Owns the queue of tasks and calls at this worker and the answers not yet sent.
Does not run anything: the executor (shell) pops from `queue`, runs, appends to
`done`; both are deques used by single operations, so starting a task and
giving it back exclude each other without a lock.

Rules. Work runs in the order in which it came from each caller. A task worker
that is blocked in `get`, or that runs one task for longer than its patience,
gives its unstarted queue back and bounces what still arrives. An actor never
gives anything back; its calls carry an order, and a repeated one is dropped.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator

import msgspec

from nbray.config import TASKS_REMEMBERED
from nbray.ids import node_client
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.worker.describing import Past, describe_worker, untold
from nbray.runtime.core.worker.own_calls import end_spec
from nbray.runtime.core.worker.pauses import Pauses
from nbray.runtime.core.worker.yields import Yields
from nbray.wire import messages as m

REPORT_SECONDS = 0.25
"""Least time between two reports to the node."""
MOST_ANSWERS = 4 << 20
"""Bytes of answers after which the rest goes in a further message."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """One task or call to run."""

    caller: int
    spec: m.Spec
    seq: int
    args: bytes
    extra: m.Extra | None
    gpus: list[int]
    patience: float


class Start(msgspec.Struct, frozen=True):
    """Run the constructor of the actor that this worker becomes."""

    message: m.BecomeActor


class Done(msgspec.Struct, frozen=True, gc=False):
    """An answer: a small value, or an outcome."""

    caller: int
    seq: int
    spec: int
    data: bytes
    outcome: m.Outcome | None
    micros: int
    third: tuple[m.Ref, ...]
    """References among the arguments that belong to neither caller nor worker."""
    refs: tuple[m.Ref, ...]
    """References inside the result, held for the caller until it has borrowed them.

    The executor holds them while it has the result: the result's own references
    may be gone before the answer is sent."""


class WorkerBrain:
    """Brain of a worker; composed with the client brain of the same process."""

    def __init__(
        self,
        client: ClientBrain,
        cpu_clock: Callable[[], float] = float,
        held_clock: Callable[[], float] = float,
    ) -> None:
        """A brain in a process that tells it two times, in seconds.

        Args:
            client: the client's brain of the same process.
            cpu_clock: CPU that the process has taken.
            held_clock: for how long it has waited for a CPU, by and large.
        """
        self.client = client
        self.me = client.me
        self.queue: deque[Item | Start] = deque()
        self.done: deque[Done] = deque()
        self.yields = Yields(client.objects)
        self.past: deque[Past] = deque(maxlen=TASKS_REMEMBERED)
        """The last tasks that ended here, appended before their answers are."""
        self.current: Item | None = None
        """What the main thread runs."""
        self.started = 0.0
        self.pauses = Pauses(client.tasks, self._cpus)
        self.actor: m.BecomeActor | None = None
        self.functions: dict[bytes, bytes] = {}
        self.undefined: set[bytes] = set()
        """Functions to let go of once nothing queued here needs them; see `let_go`."""
        self.cancelled: set[tuple[int, int]] = set()
        self.spared: set[tuple[int, int]] = set()
        """(caller, seq) of running work to be interrupted; of it calls that are told only."""
        self._specs: defaultdict[int, dict[int, m.Spec]] = defaultdict(dict)
        self._order: dict[int, int] = {}
        self._bouncing: Item | None = None
        self._lease = 0
        """Under which the last tasks came."""
        self._spoiled = 0
        """A task of this one has failed that had GPUs."""
        self.finished = 0
        self.failed = 0
        self.told = 0
        """How many of them its node has been told of."""
        self.concurrent = 0
        """Calls that an async or threaded actor runs at this moment."""
        self._reported = (0, 0, 0)
        self._report_due = 0.0
        self._nested_due = 0.0
        self._late = False
        """Counts of nested work have waited for `_nested_due`."""
        self._cpu_clock = cpu_clock
        self._cpu_told = 0.0
        self._held_clock = held_clock
        self._held_told = 0.0
        self._moved = 0
        """Microseconds of moving that have not been told."""

    # -- messages ---------------------------------------------------------------

    def handle(self, message: m.ToClient, now: float) -> list[ClientEffect]:
        """Take a message for the executor; everything else is the client brain's."""
        match message:
            case m.Tasks():
                return self._tasks(message)
            case m.Calls():
                self._calls(message)
            case m.Cancel():
                return self._cancel(message, now)
            case m.BecomeActor():
                self.actor = message
                self.functions[message.spec.function] = message.spec.blob
                self.queue.append(Start(message))
            case m.Taken():
                self.yields.went_on(message)
            case m.Undefine():
                self.undefined.update(message.functions)
            case m.Describe():
                return describe_worker(self, message, now)
            case m.Lend():
                return self.pauses.asked()
            case m.Resume():
                return [*self.pauses.resume(), *self.client.handle(message, now)]
            case m.Exit(if_idle=True) if self.client.objects.in_use or self.queue or self.current:
                # What it owns would be lost: it stays until that is gone.
                return [Send(node_client(self.client.node), m.Stays(self.me))]
            case m.Exit(gently=True) if self.actor is not None:
                spec, gpus = end_spec(self.actor.spec), self.actor.gpus
                self.queue.append(Item(self.me, spec, 0, b"", None, gpus, 1e9))
            case m.Exit():
                return [*untold(self), *self.client.handle(message, now)]
            case m.Results():
                effects = self.client.handle(message, now)
                return [*effects, *self.nested(now)] if self.client.tallies else effects
            case _:
                return self.client.handle(message, now)
        return []

    def _tasks(self, message: m.Tasks) -> list[ClientEffect]:
        specs = self._specs[message.sender]
        for spec in message.specs:
            specs[spec.id] = spec
        if message.functions:
            self.functions.update(message.functions)
            self.undefined.difference_update(message.functions)
        self._lease = message.lease
        spoiled = message.lease == self._spoiled
        if spoiled or self.waits() or self._bounces:
            return [Send(message.sender, m.Bounced(self.me, message.seqs))]
        spec = specs[message.spec]
        if spec.function not in self.functions:  # another client has had it taken back
            return [Send(message.sender, m.Bounced(self.me, message.seqs, spec.function))]
        caller, gpus, patience = message.sender, message.gpus, message.patience / 1e6
        extras = message.extras
        if extras:
            self.queue.extend(
                Item(caller, spec, seq, args, extras.get(index), gpus, patience)
                for index, (seq, args) in enumerate(zip(message.seqs, message.args, strict=True))
            )
        else:
            self.queue.extend(
                [
                    Item(caller, spec, seq, args, None, gpus, patience)
                    for seq, args in zip(message.seqs, message.args, strict=True)
                ]
            )
        return []

    def _calls(self, message: m.Calls) -> None:
        actor = self.actor
        if actor is None or message.incarnation != actor.incarnation:
            return  # meant for an earlier life; the caller is told by the head
        specs = self._specs[message.sender]
        for spec in message.specs:
            specs[spec.id] = spec
        expected = self._order.get(message.sender, 0)
        caller, gpus, extras = message.sender, actor.gpus, message.extras
        for index, seq in enumerate(message.seqs):
            if message.order + index < expected:
                continue
            spec, args = specs[message.calls[index]], message.args[index]
            self.queue.append(Item(caller, spec, seq, args, extras.get(index), gpus, 1e9))
        self._order[caller] = max(expected, message.order + len(message.seqs))

    def _cancel(self, message: m.Cancel, now: float) -> list[ClientEffect]:
        wanted = set(message.seqs)
        caller = message.sender
        kept: list[Item | Start] = []
        outcomes: list[m.Outcome] = []
        queue = self.queue
        for _ in range(len(queue)):
            try:
                item = queue.popleft()
            except IndexError:
                break  # the executor took the last one meanwhile
            if isinstance(item, Item) and item.caller == caller and item.seq in wanted:
                wanted.discard(item.seq)
                outcomes.append(m.Outcome(item.seq, [m.Value(failed=True)], True, False, True))
            else:
                kept.append(item)
        queue.extend(kept)
        running = {(caller, seq) for seq in wanted}
        if message.gently:
            self.yields.closed(running)
        else:
            self.cancelled |= running
            if self.actor is not None and not message.interrupts:
                self.spared = (self.spared & self.cancelled) | running
        effects: list[ClientEffect] = []
        if message.recursive and running:
            effects += self.client.pump(now)  # what they have just submitted
            launched = [task for task in self.client.unfinished() if task.parent in running]
            effects += self.client.cancel(launched, message.force, True, now, message.interrupts)
        if outcomes:
            effects.append(Send(caller, m.Results(self.me, [], [], outcomes)))
        return effects

    # -- what runs -------------------------------------------------------------------

    def ready(self) -> None:
        """What this process needs for itself is done: time from now on is its tasks' own."""
        self._cpu_told = self._cpu_clock()
        self._held_told = self._held_clock()

    def begin(self, item: Item, now: float) -> None:
        """The main thread runs *item*."""
        self.current = item
        self.started = now

    def rest(self) -> None:
        """The main thread runs nothing."""
        self.current = None

    def enter(self) -> None:
        """One more call of an async or threaded actor runs; calls of this exclude each other."""
        self.concurrent += 1

    def leave(self) -> None:
        """One has ended."""
        self.concurrent -= 1

    def own_time(self, micros: int) -> int:
        """Microseconds of *micros*, in which an item ran, that it did not wait for data."""
        if not self.client.moved:
            return micros
        moved = self.client.waited(micros)
        self._moved += moved
        return micros - moved

    def let_go(self) -> list[bytes]:
        """Functions that are not defined any more and that nothing here needs: they are dropped.

        Called by the executor between two items, under the lock.
        """
        needed = {item.spec.function for item in self.queue if isinstance(item, Item)}
        gone = list(self.undefined - needed)
        self.undefined &= needed
        for function in gone:
            self.functions.pop(function, None)
        return gone

    # -- giving back ---------------------------------------------------------------

    def give_back(self) -> list[ClientEffect]:
        """Return all unstarted tasks to their callers."""
        if self.actor is not None:
            return []
        returned: defaultdict[int, list[int]] = defaultdict(list)
        while True:
            try:
                item = self.queue.popleft()
            except IndexError:
                break
            if isinstance(item, Item):
                returned[item.caller].append(item.seq)
        return [Send(caller, m.Bounced(self.me, seqs)) for caller, seqs in returned.items()]

    @property
    def _bounces(self) -> bool:
        """Whether what runs has run for too long for more to be queued behind it."""
        return self._bouncing is not None and self._bouncing is self.current

    def spoil(self) -> list[ClientEffect]:
        """A task has failed that had GPUs: no other of its lease runs in this process.

        A failure may be CUDA's, after which nothing works there; the caller gives the lease back.
        """
        self._spoiled = self._lease
        return [*self.flush(), *self.give_back()]

    def _cpus(self) -> int:
        item = self.current
        shape = self.actor.spec.resources if self.actor else item.spec.resources if item else {}
        return shape.get("CPU", 0)

    def block(self, item: Item, main: bool = True) -> list[ClientEffect]:
        """The running *item*, or another thread of its, is about to wait: hand back the queue."""
        first = not self.waits()
        effects = [*self.flush(), *self.give_back()] if first else []
        self.client.restless = True  # what was set aside may be used again
        return effects + self.pauses.block(item, main)

    def unblock(self, item: Item) -> list[ClientEffect]:
        """*item* goes on, unless `pauses.awaits`: then it waits for its CPUs."""
        return self.pauses.unblock(item)

    def waits(self) -> bool:
        """Whether what runs waits for something, in some thread of its."""
        pauses = self.pauses
        return pauses.awaits or (pauses.threads > 0 and pauses.item is self.current)

    def tick(self, now: float) -> list[ClientEffect]:
        """Called while the main thread is busy: give back what has waited too long behind it."""
        current = self.current
        effects: list[ClientEffect] = []
        if current is not None and self.queue and now - self.started > current.patience:
            self._bouncing = current
            effects += self.give_back()
        if self.pauses.threads and self.waits() and not self.pauses.stands:
            effects += self.pauses.look(now, self._cpu_clock())
            self.client.restless |= self.pauses.stands  # what was set aside may be used again
        return effects + self.client.tick(now)

    def _state(self) -> tuple[int, int, int]:
        running = self.concurrent + (self.current is not None and not self.pauses.stands)
        return self.finished - self.failed, self.failed, running

    def busy(self) -> bool:
        """Whether something runs, or the node has not been told what did."""
        return self.current is not None or self._late or self._state() != self._reported

    def report(self, now: float) -> list[ClientEffect]:
        """Tell the node what was done, if that changed and is not too soon."""
        if self.client.tallies:
            nested = self.nested(now)
            if nested:
                return nested
        state = self._state()
        if state == self._reported:  # it rests
            return untold(self) if self.told != self.finished and not self.current else []
        if now < self._report_due:
            return []
        self._reported = state
        self._report_due = now + REPORT_SECONDS
        return [Send(node_client(self.client.node), m.Worked(self.me, *state))]

    def nested(self, now: float) -> list[ClientEffect]:
        """Tell drivers what tasks here have launched for their cells, if that is not too soon."""
        if now < self._nested_due:
            self._late = True
            return []
        self._late = False
        changed = []
        for tally in list(self.client.tallies.values()):
            state = (tally.submitted, tally.left)
            if state != tally.told and tally.job not in (0, self.me):
                tally.told = state
                changed.append(tally)
        if not changed:
            return []
        self._nested_due = now + REPORT_SECONDS
        running = self.client.tasks.pools.running()
        return [
            Send(
                tally.job,
                m.Counted(
                    self.me, tally.cell, tally.submitted, tally.done, tally.failed,
                    tally.cancelled, running.get(tally.cell, {}), tally.cpu,
                ),
            )
            for tally in changed
        ]  # fmt: skip

    # -- answers -------------------------------------------------------------------------

    def flush(self) -> list[ClientEffect]:
        """Send the answers that have gathered, one message a caller."""
        objects = self.client.objects
        done = self.done
        before = self.yields.flush(self.me) if self.yields.waiting else []
        if not done:
            return [*before, *objects.settle_added()]
        batches: dict[int, list[Done]] = {}
        several = len(done) > 1
        for _ in range(len(done)):
            one = done.popleft()
            batch = batches.get(one.caller)
            if batch is None:
                batches[one.caller] = [one]
            else:
                batch.append(one)
        for batch in batches.values():
            for one in batch:
                if one.refs:
                    objects.lend(one.caller, -one.seq, one.refs)
        effects = before + objects.settle_added()
        if self.client.tallies:
            # Before the answers: when a parent has ended, what it launched is counted.
            self._nested_due = 0.0
            effects += self.nested(0.0)
        cpu = self._cpu_clock()
        spent, self._cpu_told = int((cpu - self._cpu_told) * 1e6), cpu
        waited = self._held_clock()
        held, self._held_told = int((waited - self._held_told) * 1e6), waited
        moved, self._moved = self._moved, 0
        for caller, batch in _messages(batches) if several else batches.items():
            self.finished += len(batch)
            seqs: list[int] = []
            values: list[bytes] = []
            outcomes: list[m.Outcome] = []
            spec = batch[-1].spec
            count = micros = longest = 0
            for one in batch:
                if one.outcome is None:
                    seqs.append(one.seq)
                    values.append(one.data)
                else:
                    outcomes.append(one.outcome)
                    self.failed += one.outcome.failed
                if one.spec == spec:
                    count += 1
                    micros += one.micros
                    longest = max(longest, one.micros)
            effects.append(
                Send(
                    caller,
                    m.Results(
                        sender=self.me,
                        seqs=seqs,
                        values=values,
                        outcomes=outcomes,
                        spec=spec,
                        count=count,
                        micros=micros,
                        longest=longest,
                        cpu=spent,
                        held=held,
                        moved=moved,
                    ),
                )
            )
            spent = held = moved = 0
            for one in batch:
                if one.third:
                    objects.confirm(caller, one.seq, one.third, effects)
        return effects


def _messages(batches: dict[int, list[Done]]) -> Iterator[tuple[int, list[Done]]]:
    """Each caller's answers, in as many messages as keep a message short."""
    for caller, batch in batches.items():
        if len(batch) == 1:
            yield caller, batch
            continue
        part: list[Done] = []
        size = 0
        for one in batch:
            if size > MOST_ANSWERS:
                yield caller, part
                part, size = [], 0
            part.append(one)
            size += len(one.data)
            if one.outcome is not None:
                size += sum(len(value.data) for value in one.outcome.values)
        yield caller, part
