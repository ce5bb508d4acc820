"""What a simulated driver does with placement groups, and what works in them must turn out to be.

Owns their lives: each ends when its time has come, whoever waits for work in it, for what has no
room would wait for ever. Does not own what they leave behind (`scenario` looks at the end).
"""

from __future__ import annotations

from typing import Any

from sim.checking import Checker
from sim.expect import Expect

from nbray.exceptions import RaySystemError, TaskUnschedulableError
from nbray.where import Where

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
ENDED = {"TaskPlacementGroupRemoved", "WorkerCrashedError", "OwnerDiedError", "ActorDiedError",
         "ActorUnavailableError", "ActorUnschedulableError", "TaskUnschedulableError"}  # fmt: skip
"""What work in a group may end with, for any group may end at any time."""
LONGEST = 3.0
"""Seconds that a group lasts at most while others may lack what it has."""


class Held:
    """One group: its id, its bundles."""

    def __init__(self, group: str, bundles: list[dict[str, float]], detached: bool) -> None:
        self.group = group
        self.bundles = bundles
        self.detached = detached


class GroupShapes(Checker):
    """Shapes of work in groups."""

    groups: list[Held]

    def _make_group(self) -> Held:
        rng = self.rng
        kind = rng.choice(["room", "room", "CPU"])
        amounts = [0.1, 0.5, 1, 1.5] if kind == "CPU" else [0.1, 0.2, 0.6]
        bundles = [{kind: float(rng.choice(amounts))} for _ in range(rng.randint(1, 3))]
        return self.hold(bundles, rng.choice(STRATEGIES), rng.random() < 0.1)

    def hold(self, bundles: list[dict[str, float]], strategy: str, detached: bool) -> Held:
        """Make a group that ends when its time has come."""
        made = self.api.engine.cluster.groups.create(bundles, strategy, "", detached, [], "")
        held = Held(made, bundles, detached)
        self.groups.append(held)
        self.scenario.groups.add(made)
        self.world.at(LONGEST * self.rng.random() ** 2, self._end_group, held)
        return held

    def _end_group(self, held: Held) -> None:
        """Its time has come; what a killed driver has detached, somebody else ends."""
        process = self.api.process
        if process.stands(lambda: self._end_group(held)):
            return
        if not process.alive:
            if held.detached:
                self.scenario.head.end_group(held.group)
            return
        if held in self.groups:
            self.groups.remove(held)
        self.api.engine.cluster.groups.remove(held.group)
        process.check_threads()

    def _some_group(self) -> Held:
        if not self.groups or self.rng.random() < 0.3:
            return self._make_group()
        return self.rng.choice(self.groups)

    def _group(self) -> Any:
        held, tag = self._make_group(), self._next()
        groups = self.api.engine.cluster.groups
        if self.rng.random() < 0.7:
            ref = groups.ready(held.group, ("group", tag))
            errors = {"TaskPlacementGroupRemoved", "TaskUnschedulableError"}
            self._keep([ref], Expect(("group", tag), errors))
        if self.rng.random() < 0.5:
            try:
                placed = groups.wait(held.group, 0.3 * self.rng.random())
            except TaskUnschedulableError:  # until a node comes that can hold it
                placed = None
            found = groups.find(held.group)  # not there: another removed it before it was made
            if placed and found and found[0].state == "PENDING":
                self.world.fail(f"group {held.group} was placed, and is not: {found}")

    def _where(self, held: Held) -> dict[str, Any]:
        """Options for a task in a group."""
        rng = self.rng
        index = rng.randrange(len(held.bundles))
        ((kind, amount),) = held.bundles[index].items()
        takes = round(rng.choice([0.0, amount, amount / 2, 0.05]), 4)
        more = {"num_cpus": takes} if kind == "CPU" else {"num_cpus": 0, "resources": {kind: takes}}
        where = Where(
            group=held.group, bundle=index if rng.random() < 0.7 else -1,
            captures=rng.random() < 0.3,
        )  # fmt: skip
        return self._options(where=where, node=0, **more)

    def _in_group(self) -> Any:
        held = self._some_group()
        for _ in range(self.rng.randint(1, 6)):
            tag, options = self._next(), self._where(held)
            if self.rng.random() < 0.7:
                refs = self.api.submit("value", tag, self._seconds(), options=options)
                self._keep(refs, Expect(("value", tag), set(ENDED)))
            else:
                refs = self.api.submit("big", tag, self._seconds(), 120_000, options=options)
                self._keep(refs, Expect(("big", tag), set(ENDED)))

    def _captured(self) -> Any:
        held, tag = self._some_group(), self._next()
        options = self._where(held)
        count, seconds = self.rng.randint(1, 2), self._seconds()
        refs = self.api.submit("nested", tag, count, 0, seconds, options=options)
        inner = tuple(("value", index) for index in range(count))
        self._keep(refs, Expect(("nested", tag, inner), {*ENDED, "TaskUnschedulableError"}))

    def _actor_in_group(self) -> Any:
        held, rng = self._some_group(), self.rng
        options = self._where(held)
        handle = self.api.actor(
            "Counter", restarts=rng.choice([0, 1, -1]), cpus=options["num_cpus"],
            where=options["where"],
        )  # fmt: skip
        self.handles.append((handle, Expect((), errors=set(ENDED), actor=True)))

    def _makes_group(self) -> Any:
        tag = self._next()
        refs = self.api.submit("makes_group", tag, options=self._options())
        self._keep(refs, Expect(("makes_group", tag), set(ENDED)))

    def _end_some_group(self) -> Any:
        """Its own, or another driver's."""
        groups = self.api.engine.cluster.groups
        if self.groups and self.rng.random() < 0.5:
            self._end_group(self.rng.choice(self.groups))
        elif self.scenario.groups:
            groups.remove(self.rng.choice(sorted(self.scenario.groups)))

    def _named_group(self) -> Any:
        groups, name = self.api.engine.cluster.groups, f"group{self.rng.randint(1, 2)}"
        try:
            made = groups.create([{"room": 0.1}], "PACK", name, False, [], "")
        except RaySystemError:
            if self._cut_off():
                raise
            made = next((one.id for one in groups.find(name=name)), "")
        if made:
            self.scenario.groups.add(made)
        if made and self.rng.random() < 0.5:
            groups.remove(made)
