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
from sim.machines import VERSIONS, HeadProcess, NodeProcess
from sim.world import SimFailure, World, who

from nbray.config import SPARE_SECONDS
from nbray.ids import DRIVER_FLAG, client_id
from nbray.options import UNIT
from nbray.wire import messages as m

KINDS = ("calm", "workers", "nodes", "drivers")
HANG = 400.0
"""Virtual seconds after which a program hangs."""


class Scenario:
    """One seed: a cluster, its programs, its faults, and the checks."""

    def __init__(self, seed: int, kind: str) -> None:
        self.kind = kind
        self.world = world = World(seed, lossy=seed % 2 == 1)
        rng = world.rng
        self.broken = False
        self.cut_off = 0
        self.chance = 0.0
        self.budget = 0
        self.drivers: list[DriverProcess] = []
        self.head = HeadProcess(world)
        for number in range(1, rng.randint(2, 3) + 1):
            self._add_node(number)
        everybody = set(world.nodes)
        assert world.run(
            lambda: all(set(n.brain.spread.members) == everybody for n in world.nodes.values()), 9.0
        )
        # An actor that holds part of a CPU must leave a whole one to tasks of that node.
        self.roomy = all(node.brain.ledger.total["CPU"] > UNIT for node in world.nodes.values())
        self.programs = [self._add_driver(1, 1)]
        if rng.random() < 0.4 or kind == "drivers":
            self.programs.append(self._add_driver(rng.choice(list(world.nodes)), 2))
        if kind != "calm":
            self.budget = rng.randint(1, 4) if kind == "workers" else 1
            self.chance = rng.choice([0.0005, 0.002, 0.01])
        world.on_step = self._step

    # -- the cluster --------------------------------------------------------------------

    def _add_node(self, number: int) -> None:
        world = self.world
        cpus = world.rng.randint(1, 4)
        total = {"CPU": cpus * UNIT, f"node:10.0.0.{number}": UNIT}
        members: list[m.NodeInfo] = []
        if number > 1:
            info = m.NodeInfo(0, f"host{number}", f"10.0.0.{number}", 6379, total, dict(total))
            self.head.perform(
                self.head.brain.handle(m.Join(0, number, info, VERSIONS), world.now)
            )
            self.head.wake(world.now + 0.03)
            members = self.head.brain.membership.all()
            assert members[-1].number == number
        spawn = lambda worker, _threads: WorkerProcess(world, worker)  # noqa: E731
        NodeProcess(world, number, total, spawn, world.rng.randint(0, cpus), members)
        if number > 1:
            world.connect(1, number)

    def _add_driver(self, node: int, number: int) -> Drive:
        driver = DriverProcess(self.world, client_id(node, DRIVER_FLAG | number))
        self.drivers.append(driver)
        drive = Drive(self, driver.api, self.world.rng.randint(20, 60))
        driver.main(lambda _api: drive.run())
        return drive

    # -- faults ---------------------------------------------------------------------------

    def break_something(self, text: str) -> None:
        """From now on results may be errors."""
        self.broken = True
        self.world.fault(text)

    def _step(self) -> None:
        world = self.world
        if world.steps % 40 == 0:
            for node in world.nodes.values():
                if node.alive and not node.brain.ending:
                    node.brain.check()
            self.head.brain.check()
        rng = world.rng
        if self.budget and rng.random() < self.chance and world.now > 0.05:
            self.budget -= 1
            getattr(self, f"_break_{self.kind}")()
        elif world.lossy and rng.random() < 0.0003:
            self._partition()

    def _break_workers(self) -> None:
        workers = [
            process
            for process in self.world.processes.values()
            if isinstance(process, WorkerProcess) and process.alive
        ]
        if not workers:
            self.budget += 1
            return
        worker = self.world.rng.choice(workers)
        self.break_something(f"{who(worker.me)} is killed")
        worker.end("was killed by SIGKILL")

    def _break_nodes(self) -> None:
        world = self.world
        number = world.rng.choice([number for number in world.nodes if number > 1])
        if world.rng.random() < 0.5:
            self.break_something(f"machine {number} loses power")
            world.nodes[number].die()
            return
        self.break_something(f"machine {number} is cut off for good")
        self.cut_off = number
        for other in world.nodes:
            if other != number:
                world.disconnect(number, other, 1e9)
                world.carrier(number, other).cut = world.carrier(number, other).gone = True

    def _break_drivers(self) -> None:
        driver = self.drivers[-1]
        if driver.alive and not driver.finished:
            self.break_something(f"{who(driver.me)} is killed")
            driver.end("was killed by SIGKILL")

    def _partition(self) -> None:
        world = self.world
        a, b = world.rng.sample(sorted(world.nodes), 2)
        carrier = world.carrier(a, b)
        if not carrier.up or carrier.cut:
            return
        world.note(f"machines {a} and {b} lose each other for a while")
        carrier.cut = True
        world.disconnect(a, b, 1e9)
        world.at(3 * world.rng.random(), world.heal, a, b)

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
        self.budget = 0
        for drive in self.programs:
            drive.live.clear()
            drive.handles.clear()
        gc.collect()
        world.lossy = False
        # Long enough to notice that a machine is gone.
        world.rest(14.0 if self.broken else 4.0)
        self._check_clients()
        self._check_nodes()
        for driver in self.drivers:
            if driver.alive:
                driver.goodbye()
        world.rest(SPARE_SECONDS + 1.0)
        self._check_nodes()
        for node in world.nodes.values():
            if node.alive and node.segments:
                world.fail(f"node{node.number} keeps segments {node.segments} for nobody")

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
                ("lends", objects._lent),
                ("waits for acknowledgement of", objects._unacknowledged),
                ("has put off", objects._waiting_for_ack),
                ("leases", tasks._by_lease),
                ("has unfinished", tasks.unfinished),
                ("views", process.api.viewed),
                ("follows", brain.actors.links),
                ("runs", process.worker.current if process.worker is not None else None),
            ):
                if found:
                    self.world.fail(f"at the end {name} {what} {found}")

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
                ("stores", node.keeper.used),
                ("transfers", brain.transfers._by_key),
                ("has free", brain.ledger.free if brain.ledger.free != brain.ledger.total else 0),
                ("freed twice", node.stale if not self.broken else 0),
            ):
                if found:
                    self.world.fail(f"at the end {name} {what} {found}")
        if self.head.brain.directory.living:
            self.world.fail(f"at the end {self.head.brain.directory.living} actors live")
