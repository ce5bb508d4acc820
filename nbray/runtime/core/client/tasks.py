"""Submitting tasks: pipelines to workers, outcomes, retries.

Owns every task of this client from its submission to its outcome. Does not own
the leases they run on (`pools`), values (`objects`) or actors (`actors`).

Rules. The client asks its node for workers of a shape (`Demand`) and pushes
batches straight to those it is granted. A worker gets queued work ahead by the
function's measured duration: one task while that is unknown or erratic, a few
milliseconds' worth when it is short. What must not run twice (`max_retries=0`)
shares a worker with nothing: when a worker dies, nobody knows how far it came
with what it held. A worker that is blocked or slow gives
its unstarted tasks back (`Bounced`), and gets no more until it answers again.
When a worker dies, the first task it had not answered is charged an attempt;
the others go elsewhere uncharged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from nbray.config import DEAD_GRACE
from nbray.ids import node_of
from nbray.runtime.core.client.locality import near_first, nearest
from nbray.runtime.core.client.memory_retries import ADVICE, MemoryRetries
from nbray.runtime.core.client.objects.objects import PENDING, Objects
from nbray.runtime.core.client.pools import Pools
from nbray.runtime.core.client.sent_definitions import SentDefinitions
from nbray.runtime.core.client.streams import Streams, StreamTask
from nbray.runtime.core.client.task_records import (
    BATCH_BYTES,
    ErrorMaker,
    LeasedWorker,
    ShapePool,
    Task,
    fill_dependencies,
    watch_dependencies,
    weight,
    why_unrun,
    with_attempt,
)
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import (
    Bounced,
    Death,
    Extra,
    Infeasible,
    Outcome,
    Ref,
    Results,
    Spec,
    Tasks,
    Value,
)


class Submitter:
    """All tasks of one client."""

    def __init__(self, objects: Objects, error: ErrorMaker) -> None:
        self.objects = objects
        self.me = objects.me
        self.node = objects.node
        self._error = error
        self.pools = Pools(objects.me, objects.node)
        self.known = SentDefinitions(self.me)
        """Specs and functions each worker has been sent."""
        self.streams = Streams(objects, error)
        self.lacking: Callable[[str], None] = lambda _why: None
        """Told why work waits that no node can do."""
        self.memory = MemoryRetries()
        self._deaths: list[tuple[float, int, Death]] = []
        self._ready: deque[Task] = deque()
        """Tasks whose last dependency has settled."""
        self.over: list[Task] = []
        """Tasks that ran again (`lineage`), and have ended."""
        self.has_called: Callable[[Task, Ref | None], None] = lambda _task, _life: None
        """Told of what ended with more than a small value; of a call, with its actor's life."""
        self.unfinished, self._now = 0, 0.0
        self.ends: deque[tuple[Spec, int, int, str, int, Ref | None]] = deque(maxlen=500)
        """(spec, number, worker, why or '' for cancelled, attempt, actor) of tasks and attempts
        that ended outside a worker."""

    @property
    def restless(self) -> bool:
        """Whether tasks have become runnable, or functions have ended."""
        return bool(self._ready or self.known.ended)

    # -- submission -------------------------------------------------------------

    def add(self, tasks: Iterable[Task]) -> list[ClientEffect]:
        """Take submitted tasks: queue those that can run, watch the others' dependencies."""
        effects: list[ClientEffect] = []
        for task in tasks:
            self.unfinished += 1
            task.work.tally.submitted += 1
            if task.pins:
                self.objects.hold(task.pins)
                task.held = True
            if task.deps is not None:
                task.sink = self
                effects += watch_dependencies(self.objects, task)
                if task.missing:
                    continue
                self._ready.append(task)
            else:
                self.pools.enqueue(task)
        return effects

    def runnable(self, task: Task) -> None:
        """The task's last dependency is ready; taken up by the next `pump`."""
        self._ready.append(task)

    # -- sending --------------------------------------------------------------------

    def pump(self, now: float) -> list[ClientEffect]:
        """Send what can be sent, and ask for the workers that are missing."""
        effects: list[ClientEffect] = []
        self._now = now
        while self._ready:
            task = self._ready.popleft()
            if task.cancelled:
                continue
            failure = fill_dependencies(self.objects, task, effects, self._error)
            if failure is not None:
                effects += self.fail(task, failure)
            elif not task.missing:
                task.near = nearest(task)
                self.pools.enqueue(task)
        pools = self.pools
        for pool in list(pools.active.values()):
            if pool.queue:
                if pool.infeasible:
                    effects += self.fail_pool(pool)
                else:
                    self._dispatch(pool, effects)
            pools.ask(pool, effects)
            if not pool.queue and not pool.leases:
                pools.active.pop(pool.id, None)
                if pool.ended:  # its placement group has, and with it all work in it
                    pools.drop(pool)
        return effects

    def _dispatch(self, pool: ShapePool, effects: list[ClientEffect]) -> None:
        queue, leases = pool.queue, pool.usable()
        for lease in leases:
            if not queue:
                return
            remote = lease.node != self.node
            if queue[0].deps is not None and not near_first(pool, lease.node) and lease.inflight:
                continue
            ahead = queue[0].work.ahead(remote)
            held = len(lease.inflight)
            if held and not lease.takes_more(queue[0].work, self._now):
                continue
            room = ahead - held
            if room <= 0 or (held > 2 and room < ahead // 2):
                continue  # refill by halves, so that batches stay large
            share = -(-(len(queue) + sum(len(x.inflight) for x in leases)) // len(leases)) - held
            room = min(room, max(1, share))
            while room > 0 and queue:
                first = queue[0]
                if lease.inflight and (
                    first.attempt or first.work.ahead(remote) < 2
                    or not lease.takes_more(first.work, self._now)
                ):
                    break
                room -= self._push(lease, queue, room, effects)
                if queue and queue[0].deps is not None and not near_first(pool, lease.node):
                    break

    def _push(
        self, lease: LeasedWorker, queue: deque[Task], room: int, effects: list[ClientEffect]
    ) -> int:
        """Send one message of up to *room* tasks of one spec; how many it took."""
        work = queue[0].work
        seqs: list[int] = []
        args: list[bytes] = []
        extras: dict[int, Extra] = {}
        size = taken = 0
        inflight = lease.inflight
        if not inflight:
            lease.began = self._now
        while queue and taken < room and size < BATCH_BYTES:
            task = queue[0]
            if task.work is not work or (task.attempt and seqs):
                break
            if seqs and task.deps is not None and task.near not in (0, lease.node):
                break
            queue.popleft()
            if task.cancelled:
                continue  # takes no room: nothing would come back to fill it again
            taken += 1
            extra = task.extra
            if extra is not None or task.attempt:
                extras[len(seqs)] = with_attempt(extra, task.attempt)
                size += weight(extra)
            task.lease = lease
            inflight[task.seq] = task
            seqs.append(task.seq)
            args.append(task.args)
            size += len(task.args)
            if task.attempt:
                break
        if not seqs:
            return taken
        # Beside others one may be charged with their deaths: who is tried again goes alone.
        lease.last = work
        lease.alone = task.attempt > 0 or work.ahead(lease.node != self.node) < 2
        spec = work.spec
        specs, functions = self.known.news(lease.worker, work)
        patience = max(10_000, int(work.estimate * 2e6)) if work.estimate > 0 else 10_000
        message = Tasks(
            sender=self.me, spec=spec.id, lease=lease.id, seqs=seqs, args=args, extras=extras,
            specs=specs, functions=functions, gpus=lease.gpus, patience=patience,
        )  # fmt: skip
        effects.append(Send(lease.worker, message))
        return taken

    # -- outcomes ------------------------------------------------------------------------

    def infeasible(self, message: Infeasible) -> list[ClientEffect]:
        """No node can ever run this shape: what is queued fails."""
        pool = self.pools.numbered(message.shape)
        if pool is None:
            return []
        if not (pool.raises or message.never):
            if pool.queue:
                pool.waiting = f"{message.why}; it waits for a node that joins with that"
                self.lacking(f"{pool.queue[0].work.spec.name} {pool.waiting}")
            return []
        pool.infeasible = message.why
        effects = self.fail_pool(pool)
        pool.infeasible = ""
        effects.append(self.pools.forget(pool))
        return effects

    def fail_pool(self, pool: ShapePool) -> list[ClientEffect]:
        """What is queued for this shape fails, by what the pool says."""
        effects: list[ClientEffect] = []
        error = Value(self._error(pool.kind, pool.infeasible), failed=True)
        while pool.queue:
            task = pool.queue.popleft()
            if not task.cancelled:
                effects += self.fail(task, error)
        return effects

    def results(self, message: Results, now: float) -> list[ClientEffect]:
        """Tasks ended at a worker."""
        effects: list[ClientEffect] = []
        objects = self.objects
        owned, settle = objects.owned, objects.settle
        sender = message.sender
        node = node_of(sender)
        lease = self.pools.by_worker.get(sender)
        work = None
        if message.seqs:
            for seq, data in zip(message.seqs, message.values, strict=True):
                entry = owned.get(seq)
                if entry is None:
                    continue
                task = entry.maker
                if task is None or task.lease is None or entry.state != PENDING:
                    continue
                if task.lease.worker != sender:
                    continue  # tried again elsewhere, because this worker was taken for dead
                task.lease.inflight.pop(seq, None)
                task.lease = None
                work = task.work
                done = work.tally.done
                done[node] = done.get(node, 0) + 1
                self.unfinished -= 1
                if task.held or task.life is not None:
                    self._unpin(task, sender)
                settle(entry, data, effects)
        for outcome in message.outcomes:
            entry = owned.get(outcome.seq)
            task = entry.maker if entry is not None else None
            if task is None or task.lease is None:
                task = objects.again.get(outcome.seq)
            if not isinstance(task, Task) or task.lease is None or task.lease.worker != sender:
                # The last words of a worker that was buried: it has been settled without them.
                effects += objects.free_slots(s for value in outcome.values for s in value.slots)
                continue
            task.lease.inflight.pop(outcome.seq, None)
            task.lease = None
            work = task.work
            if outcome.failed and not outcome.cancelled and lease is not None and lease.gpus:
                lease.reclaimed = True  # its process may have no use of the GPU any more
            effects += self.outcome(task, outcome, sender)
        if message.count and work is not None and work.spec.id == message.spec:
            work.measured(message.count, message.micros, message.longest)
            work.tally.measure(
                sender, message.count, message.micros, message.longest, message.cpu, now,
                message.held, message.moved,
            )
        if lease is not None:
            if work is not None and work.max_calls:
                self.pools.count_call(lease, work.spec.function, work.max_calls)
            self.pools.answered(lease, now, effects)
        return effects

    def outcome(self, task: Task, outcome: Outcome, worker: int) -> list[ClientEffect]:
        """One task ended with more than a small value; may queue it again."""
        work = task.work
        if outcome.retry and not task.cancelled and self._may_retry(task):
            task.attempt += 1
            if work.pool is not None:
                self.pools.enqueue(task)
                return []
        unstarted, life = outcome.cancelled and not outcome.values[0].data, task.life
        self._unpin(task, 0 if unstarted else worker)  # whoever has not started it holds nothing
        if unstarted:
            work.tally.end(0, failed=True, cancelled=True)
            return self._complete(task, [self._cancelled(task)], True, worker)
        work.tally.end(node_of(worker), outcome.failed, outcome.cancelled)
        effects = self._complete(task, outcome.values, outcome.failed, worker)
        self.has_called(task, life)
        return effects

    def _may_retry(self, task: Task) -> bool:
        limit = task.work.max_retries
        return limit < 0 or task.attempt - self.memory.free(task) < limit

    def _complete(
        self, task: Task, values: list[Value], failed: bool, worker: int
    ) -> list[ClientEffect]:
        """Give a task's returns their values."""
        effects: list[ClientEffect] = []
        objects = self.objects
        self.unfinished -= 1
        passed: list[Ref] = []
        if isinstance(task, StreamTask) and not task.stream.ended:
            effects += self.streams.end(task, values, worker)
        for index in range(max(1, task.returns)):
            entry = objects.owned.get(task.seq + index)
            value = values[0] if failed or task.returns == 0 else values[index]
            passed += value.refs
            if entry is not None and entry.state == PENDING:
                effects += objects.resolve(entry, value)
            elif value.slots:  # it has ended, or is there from when the task ran before
                effects += objects.free_slots(value.slots)
        if isinstance(task, StreamTask) and task.stream.kept:
            self.streams.let_go(task.stream)  # the value names them
        if passed and worker:
            effects += objects.settle_added()
            objects.confirm(worker, -task.seq, passed, effects)
        return effects

    def _unpin(self, task: Task, worker: int) -> None:
        """A task has ended: let go of its arguments, or wait for the worker's word."""
        if self.objects.again and task.seq in self.objects.again:
            self.over.append(task)
        if task.life is not None:
            self.objects.drop((task.life,))
            task.life = None
        if not task.held:
            return
        task.held = False
        given = task.extra.deps if task.extra is not None else ()
        inside = [ref for _, value, _ in given for ref in value.refs]
        third = tuple(key for key in (*task.pins, *inside) if key[0] not in (self.me, worker))
        if third and worker:
            self.objects.hold(third)
            self.objects.lend(worker, task.seq, third)
        self.objects.drop(task.pins)

    def fail(self, task: Task, error: Value, cancelled: bool = False) -> list[ClientEffect]:
        """End a task that is not at any worker with an error."""
        task.work.tally.end(0, failed=True, cancelled=cancelled)
        why = "" if cancelled else why_unrun(task.work)
        self.ends.append((task.work.spec, task.seq, 0, why, task.attempt, task.life))
        self._unpin(task, 0)
        return self._complete(task, [error], True, 0)

    def bounced(self, message: Bounced) -> list[ClientEffect]:
        """A worker gave unstarted tasks back; it gets no more until it answers."""
        lease = self.pools.by_worker.get(message.sender)
        effects: list[ClientEffect] = []
        if message.unknown:
            self.known.lacks(message.sender, message.unknown)
        for seq in reversed(message.seqs):
            task = self.objects.running(seq)
            if not isinstance(task, Task) or task.lease is None:
                continue
            task.lease.inflight.pop(seq, None)
            task.lease = None
            if task.cancelled:
                effects += self.fail(task, self._cancelled(task), cancelled=True)
            elif message.gone:
                self._ready.append(task)
            elif task.work.pool is not None:
                self.pools.put_back(task.work.pool, [task])
        if lease is not None:
            lease.stalled = bool(lease.inflight)
            if not lease.inflight:
                self.pools.rested(lease, effects)
        return effects

    # -- cancelling ---------------------------------------------------------------------

    def _cancelled(self, task: Task) -> Value:
        text = f"{task.work.spec.name} was cancelled"
        return Value(self._error("TaskCancelledError", text), failed=True)

    def withdraw(self, task: Task) -> list[ClientEffect]:
        """Cancel a task that is at no worker."""
        if task.cancelled:
            return []
        task.cancelled = True
        return self.fail(task, self._cancelled(task), cancelled=True)

    # -- death ---------------------------------------------------------------------------

    def worker_died(self, death: Death, now: float) -> None:
        """A worker is dead; its last messages may still be on their way for a moment."""
        lease = self.pools.by_worker.get(death.client)
        if lease is None:
            self.known.died(death.client)
        elif not lease.dead:
            lease.dead = True
            self._deaths.append((now + DEAD_GRACE, lease.id, death))

    def node_died(self, node: int, why: str, now: float) -> None:
        """All workers of a node are gone."""
        for worker in [w for w in self.pools.by_worker if node_of(w) == node]:
            self.worker_died(Death(worker, why), now)
        self.known.node_died(node)

    def _bury(self, lease_id: int, death: Death, now: float) -> list[ClientEffect]:
        effects: list[ClientEffect] = []
        pool = self.pools.by_lease.get(lease_id)
        if pool is None:
            return effects
        lease = pool.leases[lease_id]
        tasks = list(lease.inflight.values())
        lease.inflight.clear()
        self.pools.give_back(pool, lease, effects)
        self.known.died(lease.worker)
        again: list[Task] = []
        for index, task in enumerate(tasks):
            task.lease = None
            if task.cancelled:
                effects += self.fail(task, self._cancelled(task), cancelled=True)
            elif index == 0:
                task.work.erratic = True
                end = (task.work.spec, task.seq, lease.worker, death.cause, task.attempt, None)
                self.ends.append(end)
                oom = death.out_of_memory
                if oom and self.memory.takes(task, death, self._may_retry(task), now):
                    pass  # it comes back later
                elif not oom and self._may_retry(task):
                    task.attempt += 1
                    again.append(task)
                else:
                    kind = "OutOfMemoryError" if oom else "WorkerCrashedError"
                    text = f"{task.work.spec.name}: {death.cause}{task.tried}"
                    text += ADVICE if oom else ""
                    task.work.tally.end(lease.node, failed=True)
                    self._unpin(task, 0)
                    error = Value(self._error(kind, text), failed=True)
                    effects += self._complete(task, [error], True, 0)
            else:
                again.append(task)
        for task in again:
            if task.deps is not None:  # their copies there are gone; there may be others
                fill_dependencies(self.objects, task, effects)
        self.pools.put_back(pool, [task for task in again if not task.missing])
        return effects

    # -- time --------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `tick` has something to do.

        The loop's thread asks while another has the baton: it looks at copies.
        """
        if not (self._deaths or self.memory.waiting):
            return self.pools.next_deadline()
        idle, later = self.pools.next_deadline(), self.memory.next_deadline()
        deadlines = [death[0] for death in list(self._deaths)]
        return min([*deadlines, *(one for one in (idle, later) if one is not None)], default=None)

    def tick(self, now: float) -> list[ClientEffect]:
        """Bury the dead, give idle leases back."""
        effects: list[ClientEffect] = []
        due = [death for death in self._deaths if death[0] <= now]
        if due:
            self._deaths = [death for death in self._deaths if death[0] > now]
            for _, lease_id, death in due:
                effects += self._bury(lease_id, death, now)
        for task in self.memory.ready(now):
            if task.deps is not None:
                fill_dependencies(self.objects, task, effects)
            if not task.missing:
                self.pools.enqueue(task)
        self.pools.tick(now, effects)
        return effects
