"""Before a machine is out of memory: whose work is ended, so that all other work goes on.

Owns the decision, what is remembered of it until the process is gone, and how many tasks of the
kind may run beside each other afterwards. Does not own reading the machine (the shell's), ending a
process (`workers`), nor trying again (the owner's, see `client.memory_retries`). Rules: the node
and programs (a notebook's kernel, a script) are never chosen; one is ended at a time, and the next
only when that one is gone and the memory still lacks.

The order is Ray's (docs: "Worker killing policy"): what may be tried again before what may not; of
that the group of the owner that has most running, among equals the one that began last; of the
group whoever began last. What differs: who holds less than a tenth of what the largest holds is
left alone, for its end would help nobody, so a task that eats everything goes alone; idle processes
that hold much are asked to end first; and a task that is larger than what there is for tasks at all
is not tried again, however many run beside it.
"""

from __future__ import annotations

import msgspec

from nbray import config
from nbray.events import Figures
from nbray.figures import memory as shown
from nbray.runtime.core.effects import Log, NodeEffect
from nbray.runtime.core.node.scheduling.leases import Key, Leases
from nbray.runtime.core.node.scheduling.resident_actors import Residents
from nbray.runtime.core.node.scheduling.scheduler import Scheduler
from nbray.runtime.core.node.scheduling.workers import ASK_AGAIN, State, Worker, WorkerPool
from nbray.runtime.core.node.settings import GuardSettings

TROUBLE = (
    "memory ran low: what had begun last was ended, and is tried again later with less beside it, "
    "where it may be; give tasks that need much `memory=` (bytes), so that fewer run at once"
)
"""What screens say meanwhile."""
TOP = 5
"""How many of the largest processes an error names."""


class Seen(msgspec.Struct, frozen=True):
    """One look at the machine, or at the group on it that bounds us."""

    used: int
    total: int
    held: dict[int, int] = {}
    """Bytes that each process has for itself, by pid; read only when memory is short."""
    largest: tuple[tuple[int, str, int], ...] = ()
    """(pid, name, bytes) of the largest processes that can be seen, likewise."""
    leaving: frozenset[int] = frozenset()
    """Of the workers' those whose end has come, whose memory the system is still taking back."""


class _Candidate(msgspec.Struct):
    """Somebody whose work may be ended."""

    worker: Worker
    held: int
    owner: int
    retriable: bool
    began: float
    key: Key | None
    """The shape's, of a task."""


class _Verdict(msgspec.Struct):
    """Why a process was ended."""

    again: bool
    held: int
    text: str


class MemoryGuard:
    """The guard of one node. *name* is its machine's."""

    def __init__(
        self, settings: GuardSettings, name: str, pool: WorkerPool, leases: Leases,
        residents: Residents, scheduler: Scheduler,
    ) -> None:  # fmt: skip
        self.settings = settings
        self._name = name
        self._pool = pool
        self._leases = leases
        self._residents = residents
        self._most = scheduler.most
        self._relax: dict[Key, tuple[int, float]] = {}
        """By shape: how many ran beside each other, and when one more may."""
        self._verdicts: dict[int, _Verdict] = {}
        self._look_at = 0.0
        self._told_until = 0.0
        self._waits_until = 0.0
        self.ended = 0
        """Processes ended so far."""

    # -- looking -------------------------------------------------------------------

    def due(self) -> float | None:
        """When to look next; None while nobody works here."""
        if not self.settings.every or not (self._leases.leases or self._residents.by_worker):
            return None
        return self._look_at

    def pids(self) -> list[int]:
        """The processes whose work may be ended."""
        return [one.pid for one in self._pool if one.state in (State.LEASED, State.ACTOR)]

    def short(self, used: int, total: int) -> bool:
        """Whether that is too much, so that it has to be known who holds it."""
        return total > 0 and used >= self.settings.limit(total)

    def read(self, seen: Seen, now: float) -> list[NodeEffect]:
        """Take one look; what is to be done about it."""
        limit = self.settings.limit(seen.total)
        room = limit - seen.used
        # The nearer, the sooner: memory is taken at some gigabytes a second.
        soon = max(config.MEMORY_SOON, room / config.MEMORY_RATE)
        self._look_at = now + min(self.settings.every, soon)
        if room > 0:
            self._waited(now)
            if self._relax:
                self._less_strict(now)
            return []
        if any(worker.state is State.ENDING and worker.client in self._verdicts
               for worker in self._pool):  # fmt: skip
            return []  # one at a time
        if self._somebody_leaves(seen, now):
            return []
        out = self._idle(seen, now)
        return out or self._end_one(seen, limit, now)

    def _somebody_leaves(self, seen: Seen, now: float) -> bool:
        """Whether to wait for what somebody had who has ended, by the kernel perhaps."""
        if not seen.leaving:
            self._waited(now)
            return False
        if not self._waits_until:
            self._waits_until = now + config.MEMORY_PATIENCE
            self._pool.wait_until(self._waits_until)
        return now < self._waits_until

    def _waited(self, now: float) -> None:
        """Nobody's memory is waited for any more: who comes next has all the patience there is."""
        if self._waits_until:
            self._waits_until = 0.0
            self._pool.wait_until(now)

    def noted(self, figures: Figures, now: float) -> Figures:
        """The node's figures, which say for a while that memory has run low."""
        if figures.trouble or now >= self._told_until:
            return figures
        return msgspec.structs.replace(figures, trouble=TROUBLE)

    def _idle(self, seen: Seen, now: float) -> list[NodeEffect]:
        """Ask idle processes that hold much to end: they may keep what they own."""
        least = seen.total * config.MEMORY_IDLE_SHARE
        return [
            self._pool.ask(worker, "its memory is needed", now)
            for worker in self._pool
            if worker.state is State.IDLE and not worker.booked and not worker.leaving
            and seen.held.get(worker.pid, 0) >= least
            and not (worker.asked and now < worker.asked + ASK_AGAIN)
        ]  # fmt: skip

    def _candidates(self, held: dict[int, int]) -> list[_Candidate]:
        found: list[_Candidate] = []
        for worker in self._pool:
            size = held.get(worker.pid, 0)
            if worker.state is State.LEASED:
                lease = self._leases.by_worker.get(worker.client)
                if lease is None:
                    continue
                began = max(lease.granted, worker.worked_at)
                found.append(
                    _Candidate(worker, size, lease.key[0], not lease.once, began, lease.key)
                )
            elif worker.state is State.ACTOR:
                resident = self._residents.by_worker.get(worker.client)
                if resident is None:
                    continue
                spec = resident.spec
                found.append(
                    _Candidate(
                        worker, size, spec.owner, bool(spec.max_restarts), worker.since, None
                    )
                )
        return found

    def _end_one(self, seen: Seen, limit: int, now: float) -> list[NodeEffect]:
        everybody = self._candidates(seen.held)
        # Who cannot be tried again, and has little, is left to the kernel, which takes the largest.
        least = seen.total * config.MEMORY_LAST_SHARE
        some = [one for one in everybody if one.retriable or one.held >= least]
        if not some:
            return []
        chosen = choose(some)
        if not chosen.held:
            return []  # nobody here has what is lacking
        others = seen.used - sum(one.held for one in everybody)
        alone = len(everybody) == 1
        too_large = chosen.held + others >= limit and 2 * chosen.held >= seen.total
        again = chosen.retriable and not alone and not too_large
        self._verdicts[chosen.worker.client] = _Verdict(
            again, chosen.held, self._why(seen, limit, again, chosen, alone or too_large)
        )
        if again and chosen.key is not None:
            self._strict(chosen.key, now)
        self.ended += 1
        self._pool.wait_until(now + config.MEMORY_PATIENCE)
        self._told_until = now + config.MEMORY_RELAX
        line = f"ends pid {chosen.worker.pid}: {shown(seen.used)} of {shown(seen.total)} are in use"
        return [Log(line), *self._pool.end(chosen.worker, "memory ran low", now)]

    # -- what follows -----------------------------------------------------------------

    def _strict(self, key: Key, now: float) -> None:
        """What is tried again has less beside it, where there was something of its kind."""
        running = sum(1 for lease in self._leases if lease.key == key)
        if running > 1:
            before = max(running, self._relax.get(key, (0, 0.0))[0])
            self._most[key] = running - 1
            self._relax[key] = before, now + config.MEMORY_RELAX

    def _less_strict(self, now: float) -> None:
        for key, (before, due) in list(self._relax.items()):
            if now < due:
                continue
            self._most[key] += 1
            self._relax[key] = before, now + config.MEMORY_RELAX
            if self._most[key] >= before or key not in self._leases.wants:
                del self._most[key], self._relax[key]

    def gone(
        self, worker: Worker, cause: str, oom: bool, peak: int, now: float
    ) -> tuple[str, bool, bool]:
        """(why a worker's process ended, whether it was ended here, whether it is tried again).

        *cause* is what the system says of it, *oom* whether the kernel ended it for want of
        memory, *peak* the most bytes that it had.
        """
        verdict = self._verdicts.pop(worker.client, None)
        if verdict is not None:
            self._pool.wait_until(0.0)
            held = shown(max(peak, verdict.held))
            return verdict.text.format(pid=worker.pid, peak=held), True, verdict.again
        lease = self._leases.by_worker.get(worker.client)
        if oom and lease is not None:
            self._strict(lease.key, now)
            self._told_until = now + config.MEMORY_RELAX
        return worker.why or cause, False, False

    def _why(
        self, seen: Seen, limit: int, again: bool, chosen: _Candidate, alone: bool
    ) -> str:
        share = f"{limit / seen.total:.0%}"
        text = (
            f"its process (pid {{pid}}) on {self._name} was ended before the machine is out of "
            f"memory: {shown(seen.used)} of the {shown(seen.total)} there are were in use, and "
            f"nbray steps in at {shown(limit)} ({share}; RAY_memory_usage_threshold); it had used "
            f"up to {{peak}}"
        )
        if alone and not again:
            text += ", more than there is for it with nothing beside it"
        largest = ", ".join(
            f"{self._called(pid, name, chosen)} {shown(size)}"
            for pid, name, size in seen.largest[:TOP]
        ).replace("{", "{{").replace("}", "}}")  # fmt: skip
        return text + (f". The largest there were: {largest}" if largest else "")

    def _called(self, pid: int, name: str, chosen: _Candidate) -> str:
        if pid == chosen.worker.pid:
            return f"itself (pid {pid})"
        for worker in self._pool:
            if worker.pid == pid:
                resident = self._residents.by_worker.get(worker.client)
                what = "a task" if resident is None else f"actor {resident.spec.class_name}"
                return f"{what} (pid {pid})"
        return f"{name} (pid {pid})"


def choose(candidates: list[_Candidate]) -> _Candidate:
    """Whose work is ended; *candidates* are some."""
    largest = max(one.held for one in candidates)
    some = [one for one in candidates if one.held * config.MEMORY_WORTH >= largest]
    groups: dict[tuple[int, int], list[_Candidate]] = {}
    for one in some:
        # Who cannot be tried again is a group of its own.
        groups.setdefault((one.owner, 0 if one.retriable else one.worker.client), []).append(one)
    group = max(
        groups.values(),
        key=lambda ones: (ones[0].retriable, len(ones), min(one.began for one in ones)),
    )
    return max(group, key=lambda one: one.began)
