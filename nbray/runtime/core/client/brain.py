"""The client brain: what a driver and a worker have in common.

Composes objects, tasks and actors; owns the dispatch of incoming messages and
the hand-over from user threads (`submitted`). Does not own sockets, threads or
memory: `pump`, `handle` and `tick` return effects, under the baton.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from nbray.details import EnvironmentRecord
from nbray.events import CellView
from nbray.ids import node_of
from nbray.options import UNIT
from nbray.runtime.core.client.actor_links import ActorLink
from nbray.runtime.core.client.actors import Callers
from nbray.runtime.core.client.cancelling import Cancelling
from nbray.runtime.core.client.describing import Lost, Recent, describe
from nbray.runtime.core.client.host import Host
from nbray.runtime.core.client.lineage import Lineage
from nbray.runtime.core.client.objects.borrowing import Orphans
from nbray.runtime.core.client.objects.objects import Objects
from nbray.runtime.core.client.objects.requested_values import RequestedValues
from nbray.runtime.core.client.replies import Replies
from nbray.runtime.core.client.streams import Stream
from nbray.runtime.core.client.survey import Survey
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import ErrorMaker, Task
from nbray.runtime.core.client.tasks import Submitter
from nbray.runtime.core.client.waiting_reasons import PATIENCE, reasons
from nbray.runtime.core.effects import ClientEffect, Forget, Send
from nbray.wire import messages as m

if TYPE_CHECKING:
    from nbray.runtime.core.client.groups import FollowedGroups
    from nbray.runtime.core.client.setting_up import SettingsUp

CROWDED = 64 * 1024
"""Characters printed after which they are shown at once, and not when somebody comes by."""
UNCLAIMED_SECONDS = 1.0
"""Seconds in which a dead worker's last answers must have come (see `messages.Unclaimed`)."""


class ClientBrain:
    """Brain of client *me* on node *node*."""

    def __init__(self, me: int, node: int, error: ErrorMaker) -> None:
        self.me, self.node = me, node
        self.objects = Objects(me, node)
        self.requested = RequestedValues(self.objects)
        self.orphans = Orphans(me)
        self.tasks = Submitter(self.objects, error)
        self.actors = Callers(self.objects, self.tasks, error)
        self.replies = Replies()
        self.lineage = Lineage(self.objects, self.tasks, self.actors, error, self.replies)
        self.cancelling = Cancelling(self.objects, self.tasks)
        self.submitted: deque[Any] = deque()
        """Calls `(method, *arguments)` or `Task`s from user threads, taken by `pump`."""
        self.tallies: dict[str, Tally] = {}
        self.members: dict[int, m.NodeInfo] = {}
        self.picture: m.Picture | None = None
        self.registered: m.Registered | None = None
        self.refused = ""
        self.full = False
        """It was refused because there is no room for it."""
        self.ended = ""
        """Why the node told this client to end, or how the node was lost."""
        self.printed: deque[m.Printed | m.Displayed] = deque()
        self.unread = 0
        """Characters in `printed`, about."""
        self.recent, self.lost = Recent(), Lost()
        self.host = Host()
        self._groups: FollowedGroups | None = None
        """Made when this client first has to do with a placement group."""
        self._survey: Survey | None = None
        """Made when this client first asks what all others are doing."""
        self._settings_up: SettingsUp | None = None
        """Made when a worker first makes an environment for this client's work."""
        self.environment: EnvironmentRecord | None = None
        """That of a driver's work, or the one that a worker is in or could not enter."""
        self.begins: Callable[[str], None] = lambda _what: None
        """Told when one does."""
        self.moved = 0
        """Microseconds for which what runs now has waited for data from other nodes."""
        self.restless = True
        """Something happened since the last `pump`."""
        self._unclaimed: deque[tuple[float, list[m.Slot]]] = deque()
        self._error = error

    def attach(self, host: Host) -> None:
        """From now on *host* is the process around it."""
        self.host = host

    # -- work in ---------------------------------------------------------------

    def tally(self, cell: str, now: float) -> Tally:
        """The counters of *cell*; old finished ones are let go."""
        tally = self.tallies.get(cell)
        if tally is None:
            if len(self.tallies) > 200:
                for old in [t.cell for t in list(self.tallies.values()) if not t.open][:100]:
                    del self.tallies[old]
            tally = self.tallies[cell] = Tally(cell, now)
        return tally

    def pump(self, now: float) -> list[ClientEffect]:
        """Take what user threads submitted and dropped; send what can be sent."""
        if not (self.submitted or self.restless or self.objects.restless or self.tasks.restless
                or self.actors.restless or self.requested.restless):  # fmt: skip
            return []
        self.restless = False
        effects: list[ClientEffect] = []
        drops = len(self.objects.dropped)
        submitted = self.submitted
        batch: list[Task] = []
        while submitted:
            item = submitted.popleft()
            if type(item) is Task:
                batch.append(item)
                continue
            if batch:
                effects += self.tasks.add(batch)
                batch = []
            method, *arguments = item
            effects += method(*arguments)
        if batch:
            effects += self.tasks.add(batch)
        effects += self.objects.settle_counts(drops)
        effects += self.orphans.let_go(self.host.held_views, now)
        if self.lineage.restless:
            effects += self.lineage.step()
        effects += self.actors.pump(now)
        effects += self.tasks.pump(now)
        known = self.tasks.known
        if known.ended:
            effects += known.settle(now, self.host.defined, self.unfinished)
        effects += self.requested.send()
        return effects

    # -- messages in ---------------------------------------------------------------

    def handle(self, message: m.ToClient, now: float) -> list[ClientEffect]:
        """Take one message. Messages for executors are the worker brain's business."""
        self.restless = True
        objects, tasks, actors = self.objects, self.tasks, self.actors
        match message:
            case m.Results():
                return self._results(message, now)
            case m.Registered():  # early: classes that are looked at before cost a worker pages
                self.registered = message
                self.members = {node.number: node for node in message.nodes}
                for node in message.nodes:
                    if not node.alive:
                        error = self._error("OwnerDiedError", "the owner's node is gone")
                        objects.node_died(node.number, error)
            case m.Counted():
                tally = self.tallies.get(message.cell)
                if tally is not None:
                    tally.nested[message.sender] = message
                    tally.last = now
            case m.Early():
                return self._early(message)
            case m.Yielded():
                return tasks.streams.yielded(message)
            case m.CancelOwned():
                return [*self.pump(now), *self.cancelling.cancel_owned(message, now)]
            case m.Bounced():
                return self.lineage.bounced(message)
            case m.Granted():
                return tasks.pools.granted(message, now)
            case m.Reclaim():
                return tasks.pools.reclaim(message)
            case m.Infeasible():
                return tasks.infeasible(message)
            case m.Waiting():
                tasks.pools.waiting(message)
            case m.Borrow():
                return objects.borrow(message)
            case m.Borrowed():
                return objects.acknowledged(message)
            case m.Release():
                return objects.release(message)
            case m.Locate():
                self.requested.locate(message)
            case m.Located():
                return objects.located(message)
            case m.Unpinned():
                objects.unpinned(message.sender, message.seqs)
            case m.Moved() | m.CopiesGone() | m.Leaving():
                return self.lineage.heard(message)
            case m.Unclaimed(slots=slots):
                unknown = objects.unknown(slots)
                if unknown:
                    self._unclaimed.append((now + UNCLAIMED_SECONDS, unknown))
            case m.WhatHeld() | m.UsePins():
                return self._views(message, now)
            case m.ActorState() | m.ActorGone():
                return actors.heard(message, now)
            case m.ActorWaits():
                actors.waits(message)
            case m.ActorCreated():
                self.replies.came(-message.actor, message)
                return actors.created(message)
            case m.Allocated(slot=slot, token=token) if slot and not self.replies.expected(token):
                return objects.free_slots([slot])  # who asked was interrupted
            case (
                m.Allocated() | m.Fetched() | m.PortOpen() | m.Outlives() | m.ActorFound()
                | m.Lies() | m.ActorList() | m.GroupMade() | m.GroupsFound()
            ):
                self.replies.came(message.token, message)
            case m.GroupState():
                return self.groups.state(message)
            case m.Died():
                return self._died(message, now)
            case m.NodeLost():
                return self._node_lost(message, now)
            case m.Members():
                self.members = {node.number: node for node in message.nodes}
            case m.Picture():
                self.picture = message
            case m.Refused():
                self.refused, self.full = message.why, message.full
            case m.Exit():
                self.end(message.why)
            case m.Printed() | m.Displayed():
                self._print(message, now)
            case m.SettingUp():
                self._setting_up(message, now)
            case m.Describe():
                return describe(self, message, now)
            case m.Described():
                if self._survey is not None:
                    self._survey.answered(message, now)
            case (
                m.Tasks() | m.Calls() | m.Cancel() | m.BecomeActor() | m.Undefine() | m.Lend()
                | m.Resume() | m.Shown() | m.Taken()
            ):
                pass  # a driver runs nothing; whoever prints is told by its shell
            case _:
                assert_never(message)
        return []

    def _views(self, message: m.WhatHeld | m.UsePins, now: float) -> list[ClientEffect]:
        """The node asks what is viewed here, or that it be pinned."""
        if isinstance(message, m.UsePins):
            why = self.host.use_pins(message.pins)
            return [Send(message.sender, m.UsesPins(self.me, why))]
        return self.orphans.what_held(message, self.host.held_views(), now)

    def entered(self, environment: EnvironmentRecord) -> None:
        """What this process says from now on of its environment."""
        self.environment = environment

    def _setting_up(self, message: m.SettingUp, now: float) -> None:
        if self._settings_up is None:
            from nbray.runtime.core.client.setting_up import SettingsUp  # few have any

            self._settings_up = SettingsUp()
        if self._settings_up.told(message, now):
            self.begins(message.what)

    def _print(self, message: m.Printed | m.Displayed, now: float) -> None:
        self.printed.append(message)
        if isinstance(message, m.Printed):
            self.recent.add(message, now)
            self.unread += len(message.text)
        else:
            self.unread += message.size
        if self.unread > CROWDED:
            self.unread = 0
            self.host.crowded()

    def abandon(self, token: int) -> list[ClientEffect]:
        """Nobody waits for this answer any more."""
        late = self.replies.take(token)
        if isinstance(late, m.Allocated) and late.slot is not None:
            return self.objects.free_slots([late.slot])
        return []

    def waited_for_data(self, micros: int) -> None:
        """What runs now has waited so long for data from another node."""
        self.moved += micros

    def waited(self, most: int) -> int:
        """Microseconds of *most* that what has just ended waited for data."""
        moved, self.moved = min(self.moved, most), 0
        return moved

    def _results(self, message: m.Results, now: float) -> list[ClientEffect]:
        for outcome in message.outcomes:
            if outcome.retry:
                task = self.objects.running(outcome.seq)
                if isinstance(task, Task) and isinstance(task.lease, ActorLink):
                    link = task.lease
                    if self.actors.retry(task, outcome, link):
                        link.inflight.pop(task.seq, None)
                        task.lease = None
        effects = self.tasks.results(message, now)
        self.actors.answered(message)
        return effects

    def _early(self, message: m.Early) -> list[ClientEffect]:
        objects, task = self.objects, self.objects.making(message.seq)
        lease = task.lease if isinstance(task, Task) else None
        if lease is None or lease.worker != message.sender:
            # Nobody holds it any more, or the task was tried again elsewhere.
            return objects.free_slots(message.value.slots)
        return objects.resolve(objects.owned[message.seq], message.value)

    def _died(self, message: m.Died, now: float) -> list[ClientEffect]:
        effects: list[ClientEffect] = []
        for death in message.deaths:
            for tally in list(self.tallies.values()):
                if tally.nested:
                    tally.lost(death.client)
            self.tasks.worker_died(death, now)
            text = f"the process that owned the object has ended: {death.cause}"
            effects += self.objects.client_died(
                death.client, self._error("OwnerDiedError", text)
            )
            effects.append(Forget(death.client))
        return effects

    def _node_lost(self, message: m.NodeLost, now: float) -> list[ClientEffect]:
        effects: list[ClientEffect] = []
        if message.node == self.node:
            self.ended = message.why
        for tally in list(self.tallies.values()):
            for worker in [one for one in tally.nested if node_of(one) == message.node]:
                tally.lost(worker)
        self.tasks.node_died(message.node, message.why, now)
        text = f"the node of the process that owned the object is gone: {message.why}"
        error = self._error("OwnerDiedError", text)
        effects += self.objects.node_died(message.node, error)
        effects += self.lineage.node_died(message.node, message.why)
        known = self.members.get(message.node)
        if known is not None:
            dead = msgspec.structs.replace(known, alive=False)
            self.members = {**self.members, message.node: dead}
        return effects

    # -- cancelling -------------------------------------------------------------------

    def cancel(
        self, tasks: Iterable[Task], force: bool, recursive: bool = False, now: float = 0.0,
        interrupts: bool = True,
    ) -> list[ClientEffect]:  # fmt: skip
        """Cancel these tasks and calls, wherever they are; see `cancelling`."""
        self.restless = True
        return self.cancelling.cancel(tasks, force, recursive, now, interrupts)

    def close_stream(self, stream: Stream) -> list[ClientEffect]:
        """Nobody reads it any more."""
        return self.tasks.streams.close(stream, self.tasks.withdraw)

    def unfinished(self, cell: str | None = None) -> list[Task]:
        """Tasks and calls that have not ended (of one cell, or all)."""
        found: dict[int, Task] = {}
        for entry in list(self.objects.owned.values()):
            task = entry.maker
            if not isinstance(task, Task) or entry.state or (task.cancelled and not task.lease):
                continue
            if cell is None or task.work.spec.cell == cell:
                found[task.seq] = task
        return list(found.values())

    # -- time -----------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `tick` has something to do.

        The loop's thread asks while another has the baton: every part looks at copies.
        """
        tasks, orphans = self.tasks.next_deadline(), self.orphans.due
        if orphans is None and not (self.cancelling.kills or self.actors.late or self._unclaimed):
            return tasks  # nearly always; it is asked twice a call
        kills, lives = self.cancelling.next_deadline(), self.actors.next_deadline()
        slots = next((due for due, _ in self._unclaimed.copy()), None)
        every = (tasks, kills, lives, orphans, slots)
        return min((due for due in every if due is not None), default=None)

    def tick(self, now: float) -> list[ClientEffect]:
        """Do what is due."""
        due = self.next_deadline()
        if due is None or due > now:  # a worker's loop thread looks in all the time
            return []
        self.restless = True
        effects = self.tasks.tick(now) + self.cancelling.tick(now) + self.actors.tick(now)
        while self._unclaimed and self._unclaimed[0][0] <= now:
            slots = self.objects.unknown(self._unclaimed.popleft()[1])
            effects += self.objects.free_slots(slots)
        return effects

    # -- views ---------------------------------------------------------------------------------

    def leave(self, now: float) -> list[ClientEffect]:
        """Before it goes: workers that do nothing for it are not to end with it."""
        effects = self.pump(now)
        self.tasks.pools.tick(float("inf"), effects)
        return effects

    def survey(self) -> Survey:
        """What this client knows of all others; from the first call on it listens."""
        if self._survey is None:
            self._survey = Survey(self.me)
        return self._survey

    @property
    def groups(self) -> FollowedGroups:
        """The placement groups that this client has to do with."""
        if self._groups is None:
            from nbray.runtime.core.client.groups import FollowedGroups  # few programs have any

            self._groups = FollowedGroups(self.objects, self.tasks, self._error)
        return self._groups

    def awaited(self, still: bool = True) -> list[str]:
        """What threads wait for (*still*, or did) that is no work of anybody. Any thread."""
        return self._groups.awaited(still) if self._groups is not None else []

    def end(self, why: str) -> None:
        """The cluster has ended: nothing comes any more. Whoever waits looks at `ended`."""
        self.ended = self.ended or why

    def node_name(self, number: int) -> str:
        """The host name of a node, told apart from others of the same host by its number."""
        info = self.members.get(number)
        if info is None:
            return f"node {number}"
        twins = sum(1 for other in self.members.values() if other.name == info.name)
        return info.name if twins == 1 else f"{info.name} · {number}"

    def reasons(self, now: float) -> dict[str, list[str]]:
        """Why work waits, sentences by cell. Any thread: it looks at copies."""
        return self._reasons(self.tasks.pools.running(), now)

    def _reasons(self, running: dict[str, dict[int, int]], now: float) -> dict[str, list[str]]:
        quiet = [
            tally.cell
            for tally in list(self.tallies.values())
            if tally.open and not running.get(tally.cell)
            and now >= max(tally.last, tally.started) + PATIENCE
        ]  # fmt: skip
        pools, links = list(self.tasks.pools.active.values()), list(self.actors.links.values())
        streams = list(self.tasks.streams.paced.values())
        groups = self._groups.known if self._groups is not None else {}
        begun = self.tasks.memory.sentences(now, self.node_name)
        if self._settings_up is not None:
            several = len(self.members) > 1
            for cell, said in self._settings_up.sentences(
                now, lambda node: f" on {self.node_name(node)}" if several else ""
            ).items():
                begun.setdefault(cell, []).extend(said)
        return reasons(
            pools, links, quiet, self._unsent, self.picture, now, streams=streams, groups=groups,
            begun=self.lineage.sentences(begun),
        )

    def _unsent(self, cell: str) -> int:
        return sum(task.unsent for task in self.unfinished(cell))

    def cells(self, now: float) -> dict[str, CellView]:
        """The counts of every cell that is remembered."""
        running = self.tasks.pools.running()
        for cell, counts in self.actors.running().items():
            mine = running.setdefault(cell, {})
            for node, count in counts.items():
                mine[node] = mine.get(node, 0) + count
        why = self._reasons(running, now)
        names = cache(self.node_name)
        cpus = {one.number: one.total.get("CPU", 0) / UNIT for one in self.members.values()}
        oldest = self.tasks.pools.oldest(now)
        return {
            cell: tally.view(
                running.get(cell, {}), names, now, tuple(why.get(cell, ())), cpus,
                oldest.get(cell, 0.0),
            )
            for cell, tally in self.tallies.copy().items()  # in any thread
        }
