"""A client's view of actors: creating them, calling them, following their lives.

Owns the queue of calls to each actor and what is in flight. Does not own the
actors: the head keeps their directory and restarts them; their worker orders
and runs the calls.

Rules. Calls of one caller to one actor run in the order in which they were
made; a call whose arguments are not ready holds back the ones behind it. The
life of an actor is an object that its creator owns: every handle and every
unfinished call holds a reference to it, and when nothing does, the actor ends.
"""

from __future__ import annotations

from collections import deque

import msgspec

from nbray.config import DEAD_GRACE
from nbray.ids import FIRST_NODE, HEAD, actor_hex, node_of
from nbray.runtime.core.client.actor_links import ActorLink
from nbray.runtime.core.client.ended_actors import EndedActors
from nbray.runtime.core.client.objects.objects import Entry, Objects
from nbray.runtime.core.client.task_records import (
    BATCH_BYTES,
    ErrorMaker,
    Task,
    fill_dependencies,
    watch_dependencies,
    weight,
    with_attempt,
)
from nbray.runtime.core.client.tasks import Submitter
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import (
    ALIVE,
    DEAD,
    PENDING,
    RESTARTING,
    ActorCreated,
    ActorGone,
    ActorSpec,
    ActorState,
    ActorWaits,
    Calls,
    CreateActor,
    EndActor,
    Extra,
    Outcome,
    Ref,
    Results,
    Spec,
    Value,
    WatchActor,
    Why,
)

CALLS_AHEAD = 10_000
"""Most unanswered calls of one caller at one actor; the rest wait at the caller."""


class Creation:
    """An actor whose constructor's arguments are not all ready."""

    def __init__(self, callers: Callers, task: Task, spec: ActorSpec) -> None:
        self.callers = callers
        self.task = task
        self.spec = spec

    def runnable(self, task: Task) -> None:
        """All arguments are ready."""
        self.callers.creations.append(self)


def _given_up(link: ActorLink, task: Task) -> bool:
    return task.cancelled or (link.ended and task.work.expendable)


def _ready_first(queue: deque[Task]) -> bool:
    """Move the calls whose arguments are ready before the others; whether there are any."""
    ready = [task for task in queue if not task.missing]
    if ready:
        waiting = [task for task in queue if task.missing]
        queue.clear()
        queue.extend((*ready, *waiting))
    return bool(ready)


class Callers:
    """All actors this client has made or called."""

    def __init__(self, objects: Objects, submitter: Submitter, error: ErrorMaker) -> None:
        self.objects = objects
        self.me = objects.me
        self.links: dict[Ref, ActorLink] = {}
        self.creations: list[Creation] = []
        self._submitter = submitter
        self._error = error
        self._by_worker: dict[int, ActorLink] = {}
        self._dirty: dict[Ref, ActorLink] = {}
        self.ended = EndedActors(objects)
        self.late: dict[Ref, tuple[float, list[ActorState | ActorGone]]] = {}
        """News that answers may follow, by actor, and when it is believed."""
        self.answers: list[ActorCreated] = []
        """Answers for the shell, which waits for named actors' registration."""
        objects.on_life_end = self._life_ended
        objects.on_foreign_end = self._handle_ended

    @property
    def restless(self) -> bool:
        """Whether actors are to be made, or calls looked at."""
        return bool(self.creations or self._dirty)

    # -- creating ---------------------------------------------------------------

    def create(self, task: Task, spec: ActorSpec) -> list[ClientEffect]:
        """Register and start an actor; its life-reference `(me, spec.actor)` exists already."""
        key = (spec.owner, spec.actor)
        link = ActorLink(key, spec.class_name)
        link.detached, link.created, link.needs = spec.detached, True, spec.resources
        self.links[key] = link
        self.objects.hold(task.pins)
        link.held, link.once = task.pins, spec.max_restarts == 0
        task.sink = creation = Creation(self, task, spec)
        effects = [] if task.deps is None else watch_dependencies(self.objects, task)
        if not task.missing:
            self.creations.append(creation)
        return effects

    def created(self, message: ActorCreated) -> list[ClientEffect]:
        """The head has registered the actor, knows one of that name, or refuses."""
        self.answers.append(message)
        link = self.links.get((self.me, message.actor))
        if message.existing is None and not message.why:
            return []
        if link is None:
            self.ended.never((self.me, message.actor))
            return []
        return self._die(link, message.why or "an actor of this name exists already", b"")

    def follow(self, key: Ref, name: str) -> tuple[ActorLink, list[ClientEffect]]:
        """The link to an actor, watched from now on."""
        link = self.links.get(key)
        if link is not None:
            return link, []
        link = self.links[key] = ActorLink(key, name)
        return link, [Send(HEAD, WatchActor(self.me, *key))]

    # -- calling ------------------------------------------------------------------

    def call(self, key: Ref, name: str, task: Task) -> list[ClientEffect]:
        """Queue a call."""
        link, effects = self.follow(key, name)
        self._submitter.unfinished += 1
        task.work.tally.submitted += 1
        task.life = key
        self.objects.hold((*task.pins, key))
        task.held = bool(task.pins)
        if task.deps is not None:
            task.sink = self
            effects += watch_dependencies(self.objects, task)
        link.queue.append(task)
        self._dirty[key] = link
        return effects

    def call_unordered(self, key: Ref, name: str, task: Task) -> list[ClientEffect]:
        """Queue a call that may overtake others which wait for their arguments."""
        effects = self.call(key, name, task)
        self.links[key].unordered = True
        return effects

    def runnable(self, task: Task) -> None:
        """A queued call's arguments are ready; whichever actor it is for is looked at again."""
        self._dirty.update(self.links)

    def pump(self, now: float) -> list[ClientEffect]:
        """Send what can be sent."""
        effects: list[ClientEffect] = []
        while self.creations:
            creation = self.creations.pop(0)
            effects += self._send_creation(creation)
        for link in list(self._dirty.values()):
            known = bool(link.worker) or not link.created
            if link.state == ALIVE:
                self._send_calls(link, effects)
            elif link.state == DEAD or (link.state == RESTARTING and known):
                effects += self._fail_queued(link)
            if link.state != ALIVE and link.queue and not link.since:
                link.since = now
        self._dirty.clear()
        return effects

    def _send_creation(self, creation: Creation) -> list[ClientEffect]:
        task, spec = creation.task, creation.spec
        link = self.links.get((spec.owner, spec.actor))
        if link is None:
            return []  # its last handle went while its constructor's arguments were not ready
        effects: list[ClientEffect] = []
        failure = fill_dependencies(self.objects, task, effects)
        if task.unsent:
            return effects
        if failure is not None:
            why = "an argument of its constructor failed"
            told = Send(HEAD, EndActor(self.me, *link.key, True, why))  # others may hold handles
            return [told, *self._die(link, why, failure.data)]
        extra = task.extra or Extra()
        args = extra.args or Value(task.args)
        spec = msgspec.structs.replace(
            spec, args=args, args_ref=extra.args_ref or (0, 0), deps=extra.deps
        )
        link.begun = True
        return [Send(HEAD, CreateActor(self.me, spec))]

    def _send_calls(self, link: ActorLink, effects: list[ClientEffect]) -> None:
        queue = link.queue
        while queue and len(link.inflight) < CALLS_AHEAD:
            calls: list[int] = []
            seqs: list[int] = []
            args: list[bytes] = []
            extras: dict[int, Extra] = {}
            specs: list[Spec] = []
            size = 0
            while queue and size < BATCH_BYTES and len(seqs) < 1000:
                task = queue[0]
                if task.cancelled:
                    queue.popleft()
                    continue
                if task.missing:
                    if link.unordered and _ready_first(queue):
                        continue
                    break
                if task.deps is not None:
                    failure = fill_dependencies(self.objects, task, effects, self._error)
                    if task.unsent:
                        continue
                    if failure is not None:
                        queue.popleft()
                        effects += self._submitter.fail(task, failure)
                        continue
                queue.popleft()
                if task.extra is not None or task.attempt:
                    extras[len(seqs)] = with_attempt(task.extra, task.attempt)
                    size += weight(task.extra)
                spec = task.work.spec
                if spec.id not in link.known:
                    link.known.add(spec.id)
                    specs.append(spec)
                task.lease = link
                link.inflight[task.seq] = task
                calls.append(spec.id)
                seqs.append(task.seq)
                args.append(task.args)
                size += len(task.args)
            if not seqs:
                return
            message = Calls(
                sender=self.me, actor=link.key[1], incarnation=link.incarnation, order=link.order,
                calls=calls, seqs=seqs, args=args, extras=extras, specs=specs,
            )  # fmt: skip
            link.order += len(seqs)
            effects.append(Send(link.worker, message))

    def answered(self, message: Results) -> None:
        """An actor's worker has answered calls: more may go."""
        link = self._by_worker.get(message.sender)
        if link is not None:
            if link.once:
                link.once = False
                self.objects.drop([key for key in link.held if key[0] == self.me])
                link.held = tuple(key for key in link.held if key[0] != self.me)
            if link.queue:
                self._dirty[link.key] = link

    def retry(self, task: Task, outcome: Outcome, link: ActorLink) -> bool:
        """Queue a call again whose exception `retry_exceptions` names."""
        limit = task.work.max_retries
        if not outcome.retry or task.cancelled or not (limit < 0 or task.attempt < limit):
            return False
        task.attempt += 1
        link.queue.appendleft(task)
        self._dirty[link.key] = link
        return True

    def end(self, key: Ref, no_restart: bool, why: str) -> list[ClientEffect]:
        """End an actor. Calls made from now on wait for the head's word: none may slip in before.

        With *no_restart* it stays dead; else `max_restarts` may bring it back.
        """
        link = self.links.get(key)
        if link is not None:
            link.ended = link.ended or no_restart
            if link.state == ALIVE:
                link.state = PENDING
        return [Send(HEAD, EndActor(self.me, *key, no_restart, why))]

    # -- their lives ---------------------------------------------------------------

    def heard(self, message: ActorState | ActorGone, now: float) -> list[ClientEffect]:
        """The head tells an actor's state, or that a process of its is gone.

        Where that is a third machine, what the actor has answered may come a moment later.
        """
        key = (message.owner, message.actor)
        link = self.links.get(key)
        late = self.late.get(key)
        if late is not None:
            late[1].append(message)
            return []
        if type(message) is ActorGone:
            self.ended.gone(message)
            return []
        assert type(message) is ActorState
        if (
            link is not None and link.inflight and message.state in (DEAD, RESTARTING)
            and len({node_of(self.me), node_of(link.worker), FIRST_NODE}) == 3
        ):  # fmt: skip
            link.state = PENDING  # calls made from now on wait for what comes of it
            self.late[key] = now + DEAD_GRACE, [message]
            return []
        return self.state(message)

    def tick(self, now: float) -> list[ClientEffect]:
        """Believe what has been heard long enough ago."""
        effects: list[ClientEffect] = []
        for key in [key for key, (due, _) in self.late.items() if due <= now]:
            for message in self.late.pop(key)[1]:
                if type(message) is ActorState:
                    effects += self.state(message)
                else:
                    effects += self.heard(message, now)
        return effects

    def next_deadline(self) -> float | None:
        """When `tick` has something to do. Any thread: it looks at a copy."""
        late = list(self.late.values()) if self.late else ()
        return min([due for due, _ in late]) if late else None

    def state(self, message: ActorState) -> list[ClientEffect]:
        """An actor's state is this."""
        link = self.links.get((message.owner, message.actor))
        if link is None:
            self.ended.state(message)
            return []
        if link.state == DEAD or message.incarnation < link.incarnation:
            return []
        effects: list[ClientEffect] = []
        if message.lingers:
            self._hold_on(link, message)
        if link.inflight and (
            message.state in (DEAD, RESTARTING) or message.incarnation > link.incarnation >= 0
        ):
            effects += self._lost(link, message)
        link.state = message.state
        if message.cause:
            link.cause, link.kind = message.cause, message.kind
        if message.state == ALIVE:
            link.since, link.waits = 0.0, ""
            if message.worker != link.worker:  # an incarnation has a process of its own
                link.order = 0
                link.known = set()
            self._by_worker.pop(link.worker, None)
            link.worker = message.worker
            self._by_worker[link.worker] = link
        link.incarnation = message.incarnation
        if message.state == DEAD:
            effects += self._die(link, message.cause, message.error)
            if self.objects.find(link.key) is None:
                del self.links[link.key]
        self._dirty[link.key] = link
        return effects

    def waits(self, message: ActorWaits) -> None:
        """Why a node does not start an actor, or that it does now."""
        link = self.links.get((message.owner, message.actor))
        if link is not None:
            link.waits = message.why
            if message.sender == HEAD and message.why and link.created and not message.group:
                self._submitter.lacking(f"{link.name} {message.why}")

    def _lost(self, link: ActorLink, message: ActorState) -> list[ClientEffect]:
        """Calls in flight when the process died: again if they may, else an error."""
        effects: list[ClientEffect] = []
        again: list[Task] = []
        dead = message.state == DEAD
        link.cause, link.kind = message.cause, message.kind
        for task in link.inflight.values():
            task.lease = None
            limit = task.work.max_retries
            if not dead and not task.cancelled and (limit < 0 or task.attempt < limit):
                task.attempt += 1
                again.append(task)
                continue
            if dead:
                error = self._death(link)
            else:
                error = self._absence(link, task, "the task may or may not have been executed")
            effects += self._submitter.fail(task, error, _given_up(link, task))
        link.inflight.clear()
        link.queue.extendleft(reversed(again))
        return effects

    def _die(self, link: ActorLink, cause: str, error: bytes) -> list[ClientEffect]:
        link.state = DEAD
        self._let_go(link)
        link.cause = cause
        link.error = error or link.error
        self._by_worker.pop(link.worker, None)
        return self._fail_queued(link)

    def _fail_queued(self, link: ActorLink) -> list[ClientEffect]:
        """What has not been sent fails; but while the actor restarts, not what may be retried."""
        effects: list[ClientEffect] = []
        kept: deque[Task] = deque()
        while link.queue:
            task = link.queue.popleft()
            if task.cancelled:
                continue
            if link.state == DEAD:
                effects += self._submitter.fail(task, self._death(link), _given_up(link, task))
            elif task.missing or task.work.max_retries:
                kept.append(task)
            else:
                error = self._absence(link, task, "the task was not executed")
                effects += self._submitter.fail(task, error)
        link.queue.extend(kept)
        return effects

    def _absence(self, link: ActorLink, task: Task, what: str) -> Value:
        text = (
            f"{link.name}.{task.work.spec.name}: {link.cause}; it is restarting: the actor is "
            f"temporarily unavailable until then, and {what}"
        )
        made = self._error("ActorUnavailableError", text, b"", actor_hex(*link.key))
        return Value(made, failed=True)

    def _hold_on(self, link: ActorLink, message: ActorState) -> None:
        """A process was told to end, and may read for a moment what was for it."""
        pins = [key for task in link.inflight.values() for key in task.pins]
        self.objects.hold(pins)
        if message.state == DEAD:
            pins.extend(link.held)
            link.held = ()
        self.ended.keep(message, pins)

    def _let_go(self, link: ActorLink) -> None:
        self.objects.drop(link.held)
        link.held = ()

    def _death(self, link: ActorLink) -> Value:
        if link.error:
            text = f"the actor {link.name} could not be made: "
            made = self._error("ActorDiedError", text, link.error, actor_hex(*link.key))
            return Value(made, failed=True)
        cause = link.cause or "it has ended"
        never = link.kind == Why.UNSCHEDULABLE
        kind = "ActorUnschedulableError" if never else "ActorDiedError"
        text = f"the actor {link.name} is dead: {cause}"
        return Value(self._error(kind, text, b"", actor_hex(*link.key)), failed=True)

    def _life_ended(self, entry: Entry) -> list[ClientEffect]:
        link = self.links.get(entry.key)
        if link is None or link.detached:
            return []  # a detached one may be found again: its calls are numbered on
        del self.links[entry.key]
        if link.state == DEAD:
            return []
        if link.begun:
            self.ended.let_go(link.key, link.held)
        else:
            self._let_go(link)
        self._by_worker.pop(link.worker, None)
        why = "its last handle went out of scope"
        return [Send(HEAD, EndActor(self.me, *entry.key, True, why, gently=True))]

    def _handle_ended(self, entry: Entry) -> list[ClientEffect]:
        """A foreign object was let go: if it was the life of an actor that is dead, forget it.

        The link to a live one stays, because its calls are numbered on.
        """
        link = self.links.get(entry.key)
        if link is not None and link.state == DEAD:
            del self.links[entry.key]
        return []

    def running(self) -> dict[str, dict[int, int]]:
        """Actors with calls in flight, by cell and node. Any thread: it looks at copies."""
        counts: dict[str, dict[int, int]] = {}
        for link in list(self._by_worker.values()):
            for first in list(link.inflight.values())[:1]:
                cell = counts.setdefault(first.work.spec.cell, {})
                cell[link.node] = cell.get(link.node, 0) + 1
        return counts
