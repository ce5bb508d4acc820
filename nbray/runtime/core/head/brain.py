"""The head's brain: membership, the actors' directory, and the picture for screens.

Composes `membership` and `actor_directory`; owns who is told what and how often.
Does not own sockets: it speaks to everybody through the node of its machine.
Rule: it is on no task's path; what is told to all is told at a bounded rate.
"""

from __future__ import annotations

from typing import assert_never

from nbray.ids import FIRST_NODE, HEAD, node_client, node_of
from nbray.runtime.core.effects import HeadEffect, Send
from nbray.runtime.core.head.actor_directory import Directory
from nbray.runtime.core.head.groups import Groups
from nbray.runtime.core.head.membership import Membership
from nbray.runtime.core.versions import differences
from nbray.wire import messages as m

MEMBERS_PAUSE = 0.02
"""Seconds between two `Members` to the nodes."""
PICTURE_PAUSE = 0.25
"""Seconds between two `Picture`s to a watcher."""


class HeadBrain:
    """Brain of the head; see `handle`, `tick` and `next_deadline`."""

    def __init__(self, cluster: int, versions: m.Versions) -> None:
        self.cluster = cluster
        self._versions = versions
        self.membership = Membership(cluster)
        self.directory = Directory(self.membership.alive)
        self.groups = Groups(
            cluster, self.membership.alive, self.directory.held_on, self.directory.has_ended
        )
        groups = self.groups
        self.directory.with_groups(
            groups.promises.of, groups.removed, groups.waits, groups.never
        )
        self._watchers: set[int] = set()
        self._members_due: float | None = None
        self._members_sent = float("-inf")
        self._picture_due: float | None = None
        self._picture_sent = float("-inf")

    def handle(self, message: m.ToHead, now: float) -> list[HeadEffect]:
        """Take one message."""
        out = self._dispatch(message, now)
        for key in self.directory.take_ended():
            out.extend(self.groups.actor_died(key))
        ended = self.groups.take_ended()
        if ended:
            for group in ended:
                out.extend(self.directory.group_removed(group))
            out.extend(self.groups.retry(now))
        return [*out, *self._publish(now)]

    def tick(self, now: float) -> list[HeadEffect]:
        """Let time pass."""
        return [*self.groups.tick(now), *self._publish(now)]

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        due = [self._members_due, self._picture_due, self.groups.next_deadline()]
        return min((one for one in due if one is not None), default=None)

    # -- messages -------------------------------------------------------------------

    def _dispatch(self, message: m.ToHead, now: float) -> list[HeadEffect]:
        out: list[HeadEffect] = []
        match message:
            case m.Join():
                out = self._join(message, now)
            case m.Leave(sender=sender, why=why, asked=asked, gently=gently):
                out = self._lost(node_of(sender), f"it left: {why}", now, asked, gently)
            case m.NodeLost(sender=sender, node=node, why=why):
                out = self._reported(node_of(sender), node, why, now)
            case m.Load(sender=sender, available=free, figures=figures, leaving=leaving):
                bundles = message.bundles
                self.groups.promises.told(node_of(sender))
                if self.membership.load(node_of(sender), free, figures, now, leaving, bundles):
                    self._changed(now)
                    out = [*self.groups.retry(now), *self.directory.retry()]
                self._picture(now)
            case m.Died(sender=sender, deaths=deaths):
                out = self._died(sender, deaths)
                self._picture(now)
            case m.Watch(sender=sender, on=on):
                if on:
                    self._watchers.add(sender)
                    out = [self._show(sender)]
                else:
                    self._watchers.discard(sender)
            case m.Describe(sender=sender, wanted=wanted, round=number):
                told = m.Described(
                    HEAD, now, wanted, actors=self.directory.records(),
                    groups=self.groups.records(), round=number,
                )  # fmt: skip
                out = [Send(sender, told)]
            case m.CreateActor():
                out = self.directory.create(message)
                self._picture(now)
            case m.FindActor():
                out = self.directory.find(message)
            case m.ListActors():
                out = self.directory.names(message)
            case m.WatchActor():
                out = self.directory.watch(message)
            case m.EndActor():
                out = self.directory.end(message)
                self._picture(now)
            case m.ActorUp():
                out = self.directory.up(message)
                self._picture(now)
            case m.ActorDown():
                out = self.directory.down(message)
                self._picture(now)
            case m.CreateGroup():
                out = self.groups.create(message, now)
                self._picture(now)
            case m.RemoveGroup():
                out = self.groups.remove(message)
                self._picture(now)
            case m.WatchGroup():
                out = self.groups.watch(message)
            case m.FindGroups():
                out = self.groups.find(message)
            case m.BundlesReserved():
                out = self.groups.reserved(message, now)
                self._picture(now)
            case m.Goodbye(sender=sender):
                self._watchers.discard(sender)
            case m.Register():
                pass  # clients register with their node
            case _:
                assert_never(message)
        return out

    def _join(self, message: m.Join, now: float) -> list[HeadEffect]:
        # A node without a number is answered through the node of this machine.
        answer_to = node_client(message.info.number or FIRST_NODE)
        why = differences(self._versions, message.versions)
        if why:
            return [Send(answer_to, m.Refused(HEAD, message.ticket, why))]
        out: list[HeadEffect] = []
        if message.was:
            out = self._lost(message.was, "it lost the cluster, and joined again", now)
        node = self.membership.join(message.ticket, message.info, message.was)
        self._changed(now)
        welcome = m.Welcome(
            HEAD, message.ticket, node.number, self.cluster, self.membership.all()
        )
        out = [*out, Send(answer_to, welcome)]
        return [*out, *self.groups.retry(now), *self.directory.retry()]

    def _reported(self, by: int, node: int, why: str, now: float) -> list[HeadEffect]:
        """A link has ended. The head's own machine says who is gone; others have met a refusal."""
        if by == FIRST_NODE:
            return self._lost(node, why, now)
        alive = {member.number for member in self.membership.alive()}
        if node == FIRST_NODE or not {by, node} <= alive:
            return []  # one of them is out, and hears of it
        # What one had sent to the other is lost: one of them must go, with all that hangs on it.
        younger = max(by, node)
        return self._lost(younger, f"it and node {min(by, node)} lost each other: {why}", now)

    def _lost(
        self, node: int, why: str, now: float, asked: bool = False, gently: bool = False
    ) -> list[HeadEffect]:
        info = self.membership.nodes.get(node)
        if info is None or not self.membership.lost(node, asked):
            return []
        self._changed(now)
        self._watchers = {watcher for watcher in self._watchers if node_of(watcher) != node}
        cause = f"node {node} ({info.name}, {info.ip}) is gone: {why}"
        told = m.NodeLost(HEAD, node, cause)
        out: list[HeadEffect] = [
            Send(node_client(other.number), told) for other in self.membership.alive()
        ]
        out.extend(self.directory.node_lost(node, cause, gently))
        return [*out, *self.groups.node_lost(node, now)]

    def _died(self, sender: int, deaths: list[m.Death]) -> list[HeadEffect]:
        told = m.Died(HEAD, deaths)
        out: list[HeadEffect] = [
            Send(node_client(other.number), told)
            for other in self.membership.alive()
            if other.number != node_of(sender)
        ]
        clients = [death.client for death in deaths]
        self._watchers.difference_update(clients)
        out.extend(self.directory.clients_died(clients))
        return [*out, *self.groups.clients_died(clients)]

    # -- telling ----------------------------------------------------------------------

    def _changed(self, now: float) -> None:
        if self._members_due is None:
            self._members_due = max(now, self._members_sent + MEMBERS_PAUSE)
        self._picture(now)

    def _picture(self, now: float) -> None:
        if self._watchers and self._picture_due is None:
            self._picture_due = max(now, self._picture_sent + PICTURE_PAUSE)

    def _publish(self, now: float) -> list[HeadEffect]:
        out: list[HeadEffect] = []
        if self._members_due is not None and now >= self._members_due:
            self._members_due = None
            self._members_sent = now
            told = m.Members(HEAD, self.membership.all())
            out.extend(Send(node_client(n.number), told) for n in self.membership.alive())
        if self._picture_due is not None and now >= self._picture_due:
            self._picture_due = None
            self._picture_sent = now
            out.extend(self._show(watcher) for watcher in sorted(self._watchers))
        return out

    def _show(self, watcher: int) -> HeadEffect:
        views, actors = self.membership.views(), self.directory.living
        return Send(watcher, m.Picture(HEAD, views, actors, self.groups.living))

    def check(self) -> None:
        """Raise if an invariant is broken; for tests and simulations."""
        self.directory.check()
        self.groups.check()
