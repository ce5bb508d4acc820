"""A cluster under random faults, and what must hold at its end.

Owns which faults happen and the checks for leaks. Does not own programs
(`drive`) or machinery (`world`, `machines`, `clients`). Rule: every result is
right or a named error that fits what was done to the cluster; nothing hangs;
when all references are gone, so is everything else.
"""

from __future__ import annotations

import gc

from sim.clients import DriverProcess, WorkerProcess
from sim.drive import Drive
from sim.expect import CRASHED, FAULTS
from sim.faults import Faults
from sim.head import HeadProcess
from sim.nodes import NodeProcess
from sim.processes import VERSIONS
from sim.world import SimFailure, World, who

from nbray.config import HEAD_PATIENCE, SPARE_SECONDS
from nbray.ids import DRIVER_FLAG, FIRST_NODE, client_id
from nbray.options import UNIT
from nbray.runtime.core.node.brain import NodeBrain
from nbray.runtime.core.placement import give
from nbray.wire import messages as m

KINDS = ("calm", "workers", "nodes", "drivers", "links", "pauses", "cuts", "storm", "memory",
         "disk", "leaves")  # fmt: skip
HANG = 400.0
"""Virtual seconds after which a program hangs."""
PATIENCE = 30.0
"""Virtual seconds after a fault is over in which every result has come, or a named error."""
WHOLE = 10.0
"""Virtual seconds after which every machine is a member again."""


class Scenario:
    """One seed: a cluster, its programs, its faults, and the checks."""

    def __init__(self, seed: int, kind: str) -> None:
        self.kind = kind
        self.crashes = kind not in ("calm", "disk", "leaves", "memory")
        """Programs end their own processes, too; else only what follows from the faults may be."""
        self.world = world = World(seed, seed % 2 == 1, seed % 3 == 0 or kind == "disk")
        rng = world.rng
        self.grouped = seed % 3 == 1
        """Its programs have placement groups."""
        self.groups: set[str] = set()
        """Those that drivers have made."""
        self.broken = False
        self.out: set[int] = set()
        """Machines that the cluster may have lost: for drivers there it has ended."""
        self._unsure: set[int] = set()
        """Machines that had no way to the head for moments, which may add up."""
        self.more_errors: set[str] = set()
        """What else may be raised, after the faults there were."""
        self.faults = Faults(self, kind)
        self.drivers: list[DriverProcess] = []
        self.head = HeadProcess(world)
        few = 3 if kind == "links" or (kind == "storm" and rng.random() < 0.7) else 2
        for number in range(1, rng.randint(few, 3) + 1):
            cpus = rng.randint(1, 4)
            total = {"CPU": cpus * UNIT, f"node:10.0.0.{number}": UNIT}
            if self.grouped:
                total["room"] = UNIT
            self._add_node(number, total)
        everybody = set(world.nodes)
        assert world.run(
            lambda: all(set(n.brain.peers.members) == everybody for n in world.nodes.values()), 9.0
        )
        # An actor that holds part of a CPU must leave a whole one to tasks of that node.
        self.roomy = all(node.brain.ledger.total["CPU"] > UNIT for node in world.nodes.values())
        self.programs = [self._add_driver(1, 1)]
        if rng.random() < 0.4 or kind == "drivers":
            self.programs.append(self._add_driver(rng.choice(list(world.nodes)), 2))
        world.on_step = self._step

    # -- the cluster --------------------------------------------------------------------

    def _add_node(self, machine: int, total: m.Shape, was: int = 0) -> None:
        world = self.world
        members: list[m.NodeInfo] = []
        number = FIRST_NODE
        if machine != FIRST_NODE:
            ip = f"10.0.0.{machine}"
            info = m.NodeInfo(0, f"host{machine}", ip, 6379, total, dict(total))
            self.head.perform(
                self.head.brain.handle(
                    m.Join(0, len(world.nodes) + 1, info, VERSIONS, was), world.now
                )
            )
            self.head.wake(world.now + 0.03)
            members = self.head.brain.membership.all()
            number = members[-1].number
        spawn = lambda worker, _threads: WorkerProcess(world, worker)  # noqa: E731
        ready = world.rng.randint(0, total["CPU"] // UNIT)
        node = NodeProcess(world, number, total, spawn, ready, members, machine)
        node.lost_cluster = self._rejoin
        if machine != FIRST_NODE:
            world.dial(number, FIRST_NODE)
            world.connect(FIRST_NODE, number)

    def _rejoin(self, number: int) -> None:
        """Root forks another node, which joins as soon as it reaches the head."""
        world = self.world
        node, first = world.nodes[number], world.nodes[FIRST_NODE]
        if node.machine in self.faults.gone:
            return
        deaf = node.paused or first.paused or self.head.paused
        if deaf or world.are_apart(FIRST_NODE, number) or not first.alive:
            world.at(0.5 + world.rng.random(), self._rejoin, number)
            return
        world.note(f"machine {node.machine} joins again")
        self._add_node(node.machine, dict(node.brain.settings.info.total), number)

    def _add_driver(self, node: int, number: int) -> Drive:
        driver = DriverProcess(self.world, client_id(node, DRIVER_FLAG | number))
        self.drivers.append(driver)
        drive = Drive(self, driver.api, self.world.rng.randint(20, 60))
        driver.main(drive.run)
        return drive

    # -- faults ---------------------------------------------------------------------------

    @property
    def ended_with_groups(self) -> set[str]:
        """What else may be raised once there are groups: their workers own what others hold, too.

        A process that is idle serves whoever comes next, and ends with the group if that is one.
        """
        return {"OwnerDiedError", "ActorDiedError"} if self.groups else set()

    def break_something(self, text: str, errors: frozenset[str] = CRASHED) -> None:
        """From now on results may be *errors*."""
        self.broken = True
        self.more_errors |= errors
        self.world.fault(text)

    def _step(self) -> None:
        world = self.world
        if world.steps % 40 == 0:
            if self.faults.apart:
                self._unsure |= set(self._without_way())
            for node in world.nodes.values():
                if node.alive and not node.brain.ending:
                    node.brain.check()
            self.head.brain.check()
            self._check_waits()
        self.faults.step()
        if self._unsure:
            self._look_for_lost()
        if world.lossy and world.rng.random() < 0.0003:
            self._partition()

    def _check_waits(self) -> None:
        """Nobody waits for long when nothing is broken any more."""
        if self.faults.active:
            return
        for drive in self.programs:
            api = drive.api
            machine = self.world.machine(api.brain.node)
            if machine in self.faults.gone:
                continue  # it waits until its node gives the head up
            # So may one that has no way to the head for a while.
            longest = PATIENCE + HEAD_PATIENCE * (machine in self.out and self.faults.apart > 0)
            waited = self.world.now - max(drive.waits_since, self.faults.over)
            if api.process.alive and waited > longest:
                self.world.fail(
                    f"{who(api.brain.me)} has waited for {waited:.1f} s for "
                    f"{[(k, e.state) for k, e in api.brain.objects.owned.items() if not e.state]}"
                )

    def _partition(self) -> None:
        """Two machines lose each other for a moment; nobody is to notice."""
        world = self.world
        a, b = world.rng.choice(sorted(world.carriers)) if world.carriers else (0, 0)
        if a and world.carrier(a, b).up and not world.are_apart(a, b):
            one, other = world.machine(a), world.machine(b)
            world.note(f"machines {one} and {other} lose each other for a moment")
            world.part(one, other)
            world.at(3 * world.rng.random(), world.meet, one, other)
            if self.faults.apart:
                self._unsure |= set(self._without_way())

    def _without_way(self) -> list[int]:
        """Machines that reach the head's neither directly nor by way of a third."""
        world = self.world
        machines = {node.machine for node in world.nodes.values() if node.alive}
        still = {node.machine for node in world.nodes.values() if node.paused}
        near = {one for one in machines - still if not world.apart[FIRST_NODE, one]}
        return [
            one for one in machines - near
            if all(world.apart[min(one, by), max(one, by)] for by in near - {FIRST_NODE})
        ]  # fmt: skip

    def _look_for_lost(self) -> None:
        """Whether the head has counted one of them out."""
        alive = {member.number for member in self.head.brain.membership.alive()}
        for node in list(self.world.nodes.values()):
            if node.machine in self._unsure and node.number not in alive:
                self._unsure.discard(node.machine)
                self.out.add(node.machine)
                self.break_something(
                    f"machine {node.machine} had no way to the head for too long", FAULTS
                )

    # -- running -----------------------------------------------------------------------------

    def run(self) -> None:
        """The whole story. Raises SimFailure."""
        gc.disable()
        gc.freeze()  # what others left need not be looked through
        try:
            self._run()
        except SimFailure:
            raise
        except Exception as error:
            text = f"seed {self.world.seed} ({self.kind}): {type(error).__name__}: {error}"
            raise SimFailure(f"{text}\n{self.world.story()}") from error
        finally:
            self.world.end()
            gc.unfreeze()
            gc.enable()

    def _run(self) -> None:
        world = self.world
        if not world.run(lambda: all(d.finished or not d.alive for d in self.drivers), HANG):
            left = [
                f"{who(drive.api.brain.me)} waits for "
                f"{[(k, e.state) for k, e in drive.api.brain.objects.owned.items() if not e.state]}"
                for drive in self.programs
            ]
            world.fail(f"a program hangs: {left}")
        self.faults.budget = 0
        for drive in self.programs:
            drive.live.clear()
            drive.handles.clear()
            drive.streams.clear()
        gc.collect()
        for driver in self.drivers:
            driver.notice()
        world.lossy = False
        world.run(lambda: not (self.faults.active or self.faults.apart), HANG)
        # Long enough to notice that a machine is gone.
        world.rest(max(WHOLE, 14.0 if self.broken else 4.0))
        if self.faults.gone:  # who is cut off does not wait for ever
            world.rest(HEAD_PATIENCE)
        self._check_whole()
        self._check_clients()
        self._check_nodes()
        for driver in self.drivers:
            if driver.alive:
                driver.goodbye()
        world.rest(SPARE_SECONDS + 1.0)
        self._end_detached_groups()
        self._check_nodes()
        self._check_groups()
        for node in world.nodes.values():
            if node.alive and node.segments:
                world.fail(f"node{node.number} keeps segments {node.segments} for nobody")

    def _check_whole(self) -> None:
        """Every machine that is not gone is a member, and all know that."""
        nodes = {
            node.number: node
            for node in self.world.nodes.values()
            if node.alive and node.machine not in self.faults.gone
        }
        machines = {node.machine for node in self.world.nodes.values()} - self.faults.gone
        if {node.machine for node in nodes.values()} != machines:
            self.world.fail(f"of machines {machines} only nodes {sorted(nodes)} are back")
        members = {member.number for member in self.head.brain.membership.alive()}
        for node in nodes.values():
            known = {one.number for one in node.brain.peers.members.values() if one.alive}
            if not known == members == set(nodes):
                self.world.fail(
                    f"node{node.number} knows {known}, the head {members}, there are {set(nodes)}"
                )

    def _check_clients(self) -> None:
        for process in self.world.processes.values():
            brain = getattr(process, "brain", None)
            if not process.alive or not isinstance(process, DriverProcess | WorkerProcess):
                continue
            name = who(process.me)
            objects, tasks = brain.objects, brain.tasks
            for what, found in (
                ("owns", {k: (e.state, e.count, e.borrowers) for k, e in objects.owned.items()}),
                ("borrows", {k: (e.state, e.count) for k, e in objects.foreign.items()}),
                ("lends", objects._borrowing.lent),
                ("waits for acknowledgement of", objects._borrowing.unacknowledged),
                ("has put off", objects._borrowing.put_off),
                ("leases", tasks.pools.by_lease),
                ("has unfinished", tasks.unfinished),
                ("has streams", tasks.streams.paced),
                ("views", process.api.viewed),
                ("follows", brain.actors.links),
                ("holds on for ended actors", brain.actors.ended),
                ("runs", process.worker.current if process.worker is not None else None),
            ):
                if found:
                    self.world.fail(f"at the end {name} {what} {found}")

    def _end_detached_groups(self) -> None:
        """What drivers that were killed have left for others to end."""
        head = self.head
        for record in head.brain.groups.records():
            if record.state != "REMOVED":
                if not record.detached:
                    self.world.fail(f"at the end there is a group of nobody: {record}")
                head.end_group(record.id)
        if self.groups:
            self.world.rest(1.0)

    def _check_groups(self) -> None:
        """Nothing of any group is left."""
        for node in self.world.nodes.values():
            left = node.brain.bundles.check() or "room_group" in str(node.brain.ledger.total)
            if node.alive and left:
                self.world.fail(f"at the end node{node.number} has {node.brain.ledger.total}")
        groups = self.head.brain.groups
        if groups.living or groups.promises._promised or groups._open:
            self.world.fail(f"at the end groups are promised {groups.promises._promised}")

    @staticmethod
    def _whole(brain: NodeBrain) -> bool:
        """Whether all is free but for what placement groups have."""
        free = dict(brain.ledger.free)
        give(free, brain.bundles.check())
        return free == brain.ledger.total

    def _check_nodes(self) -> None:
        for node in self.world.nodes.values():
            if not node.alive:
                continue
            brain, name = node.brain, f"node{node.number}"
            brain.check()
            for what, found in (
                ("leases out", brain.leases.leases),
                ("has wants", brain.leases.wants),
                ("has actors", brain.residents._all),
                ("stores", node.books.used),
                ("has on disk", node.disk.left_over()),
                ("transfers", brain.transfers._by_key),
                ("has free", brain.ledger.free if not self._whole(brain) else 0),
                ("freed twice", node.stale if not self.broken else 0),
            ):
                if found:
                    self.world.fail(f"at the end {name} {what} {found}")
        for record in self.head.brain.groups.records():
            if record.state != "REMOVED" and not (record.why or all(record.nodes)):
                self.world.fail(f"at the end nothing says why a group waits: {record}")
        if self.head.brain.directory.lingering:
            self.world.fail("at the end processes of actors that were ended linger")
        if self.head.brain.directory.living:
            self.world.fail(f"at the end {self.head.brain.directory.living} actors live")
