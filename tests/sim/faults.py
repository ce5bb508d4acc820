"""What is broken on purpose in a simulated cluster, and what may follow from it.

Owns the faults: which there are, when they happen and when they are over. Does
not own what must hold at the end (`scenario`). Rule: a fault that may cost
results says so (`Scenario.break_something`); two machines apart while a third
reaches both, a head that sleeps and a process that stands still may not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.clients import DriverProcess, WorkerProcess
from sim.expect import CRASHED, FAULTS
from sim.nodes import NodeProcess
from sim.processes import Process
from sim.world import who

from nbray.config import ACTORS_SECONDS, HAND_OVER_SECONDS
from nbray.ids import FIRST_NODE, HEAD
from nbray.runtime.core.node.memory_guard import Seen
from nbray.wire.codec import encode
from nbray.wire.messages import Drain

if TYPE_CHECKING:
    from sim.scenario import Scenario

LONGEST = 60.0
"""Seconds that a fault lasts at most, if it ends."""
SHORT = 4.0
"""Seconds of a fault that nobody takes for the end of a machine."""


LEAVING = ACTORS_SECONDS + HAND_OVER_SECONDS + 30.0
"""Seconds that a node which leaves gently takes at most."""
NO_ROOM = frozenset({"ObjectStoreFullError", "OutOfDiskError", "ActorDiedError"})
"""What follows from a disk, or a memory, that takes nothing; an actor may lack its arguments."""
ENDED_FOR_MEMORY = frozenset(
    {"OutOfMemoryError", "OwnerDiedError", "ActorDiedError", "ActorUnavailableError"}
)
"""What follows from the guard's verdicts; what a worker owns goes with it."""
LEFT = frozenset(
    {"OwnerDiedError", "ActorDiedError", "ActorUnavailableError", "TaskUnschedulableError"}
)
"""What follows from a node that has left gently: no object is lost, and no task cut short."""


class Faults:
    """The faults of one scenario; `kind` says which, `budget` how many."""

    def __init__(self, scenario: Scenario, kind: str) -> None:
        self._scenario = scenario
        self.world = scenario.world
        rng = self.world.rng
        self.chance = rng.choice([0.0005, 0.002, 0.01])
        self.gone: set[int] = set()
        """Machines that do not come back."""
        self.active = 0
        """Faults that are not over, and in which work may stand still."""
        self.apart = 0
        """Pairs of machines that have lost each other, and a third reaches both."""
        self.over = 0.0
        """When the last of those was over."""
        most = {"calm": 0, "workers": 4, "links": 3, "pauses": 3, "cuts": 2, "storm": 6,
                "memory": 4, "disk": 4, "leaves": 2}  # fmt: skip
        self.budget = rng.randint(1, most.get(kind, 1)) if kind != "calm" else 0
        some: dict[str, list[Callable[[], bool]]] = {
            "calm": [],
            "workers": [self._kill_worker],
            "nodes": [self._lose_power, self._cut_for_good],
            "drivers": [self._kill_driver],
            "links": [self._part_two],
            "pauses": [self._pause_process, self._pause_head, self._pause_machine],
            "cuts": [self._isolate],
            "memory": [self._fill_memory, self._fill_memory, self._end_for_memory],
            "disk": [self._fill_disk],
            "leaves": [self._leave],
        }
        self._some = some.get(kind) or [one for ones in some.values() for one in ones]
        self._storms = kind == "storm"
        if kind == "storm":
            self._some += [self._fail_segments, self._fail_forks]
            scenario.break_something("several faults may come together", FAULTS)

    def step(self) -> None:
        """Something may break now."""
        rng = self.world.rng
        if self.budget and rng.random() < self.chance and self.world.now > 0.05:
            self.budget -= 1
            if not rng.choice(self._some)():
                self.budget += 1

    # -- for good ------------------------------------------------------------------------

    def _kill_worker(self) -> bool:
        workers = [one for one in self._living() if isinstance(one, WorkerProcess)]
        if not workers:
            return False
        worker = self.world.rng.choice(workers)
        self._break(f"{who(worker.me)} is killed")
        worker.end("was killed by SIGKILL")
        return True

    def _fill_memory(self) -> bool:
        """A node's memory is short for a while, because of its workers."""
        rng = self.world.rng
        busy = [node for node in self.world.nodes.values()
                if node.alive and node.brain.guard.due() is not None]  # fmt: skip
        if not busy:
            return False
        node = rng.choice(busy)
        self.world.fault(f"node {node.number} has hardly any memory left")
        self.over = self.world.now
        self._scenario.more_errors |= ENDED_FOR_MEMORY
        held = {worker.pid: rng.choice([0, 1, 5, 30, 80]) for worker in node.brain.pool}
        used = sum(held.values()) + rng.choice([0, 1, 20])
        leaving = frozenset(pid for pid in list(held)[:1] if not held[pid])
        seen = Seen(used, max(1, used), held, leaving=leaving)
        node.short_of_memory(seen, rng.randint(1, 3))
        return True

    def _end_for_memory(self) -> bool:
        """The kernel ends a worker for want of memory, before its node has seen that coming."""
        workers = [one for one in self._living() if isinstance(one, WorkerProcess)]
        if not workers:
            return False
        worker = self.world.rng.choice(workers)
        self._break(f"{who(worker.me)} is ended by the kernel for want of memory")
        worker.end("was killed by SIGKILL", True)
        return True

    def _kill_driver(self) -> bool:
        driver = self._scenario.drivers[-1]
        if not driver.alive or driver.finished:
            return False
        self._break(f"{who(driver.me)} is killed")
        driver.end("was killed by SIGKILL")
        return True

    def _lose_power(self) -> bool:
        node = self._node()
        if node is None:
            return False
        self._break(f"machine {node.machine} loses power", FAULTS)
        self.gone.add(node.machine)
        node.die()
        return True

    def _cut_for_good(self) -> bool:
        node = self._node()
        if node is None:
            return False
        self._break(f"machine {node.machine} is cut off for good", FAULTS)
        self.gone.add(node.machine)
        self._scenario.out.add(node.machine)
        self._part_from_all(node.machine)
        return True

    # -- for a while ---------------------------------------------------------------------

    def _part_two(self) -> bool:
        """Two machines lose each other; a third reaches both, and nobody is to notice."""
        rng = self.world.rng
        machines = self._machines()
        if len(machines) < 3 or (self.apart and not self._storms):
            return False
        one, other = rng.sample(machines, 2)
        seconds = 1 + (LONGEST - 1) * rng.random()
        silent = rng.random() < 0.5
        how = "silently" if silent else "with broken connections"
        self.world.fault(f"machines {one} and {other} are apart for {seconds:.1f} s, {how}")
        self.apart += 1
        self.world.part(one, other, silent)
        self.world.at(seconds, self._meet, one, other)
        return True

    def _meet(self, one: int, other: int) -> None:
        self.apart -= 1
        self.world.note(f"machines {one} and {other} reach each other again")
        self.world.meet(one, other)
        if {one, other} & self._scenario.out:
            self.over = self.world.now

    def _isolate(self) -> bool:
        """One machine, the head's too, loses all others for a while."""
        rng = self.world.rng
        machine = rng.choice(self._machines())
        if self.active and not self._storms:
            return False
        seconds = self._seconds()
        text = f"machine {machine} is cut off from all others for {seconds:.1f} s"
        if seconds > SHORT:
            self._break(text, FAULTS)
            self._out(machine)
        else:
            self.world.fault(text)
        others = self._part_from_all(machine)
        self._begin()
        self.world.at(seconds, self._join, machine, others)
        return True

    def _join(self, machine: int, others: list[int]) -> None:
        self.world.note(f"machine {machine} is connected again")
        for other in others:
            self.world.meet(machine, other)
        self._end()

    def _pause_process(self) -> bool:
        living = self._living()
        able = [one for one in living if not (isinstance(one, NodeProcess) or one.paused)]
        if not able:
            return False  # all of them sleep
        process = self.world.rng.choice(able)
        seconds = self._seconds()
        self.world.fault(f"{who(process.me)} stands still for {seconds:.1f} s")
        self._stop([process], seconds)
        return True

    def _pause_head(self) -> bool:
        return self._pause(FIRST_NODE)

    def _pause_machine(self) -> bool:
        return self._pause(self.world.rng.choice(self._machines()))

    def _pause(self, machine: int) -> bool:
        """A machine sleeps, or its node stands still."""
        rng = self.world.rng
        here = [one for one in self._living() if self._machine(one) == machine]
        if any(one.paused for one in here) or (self.active and not self._storms):
            return False
        whole = rng.random() < 0.7
        seconds = self._seconds()
        text = f"machine {machine}{'' if whole else chr(39) + 's node'} sleeps for {seconds:.1f} s"
        if machine != FIRST_NODE and seconds > SHORT:
            self._break(text, FAULTS)
            self._out(machine)
        else:
            self.world.fault(text)
        self._stop([one for one in here if whole or isinstance(one, NodeProcess)], seconds)
        return True

    def _stop(self, processes: list[Process], seconds: float) -> None:
        self._begin()
        for process in processes:
            process.pause()
        self.world.at(seconds, self._wake, processes)

    def _wake(self, processes: list[Process]) -> None:
        self.world.note(f"{', '.join(who(process.me) for process in processes)} go on")
        for process in processes:
            process.resume()
        self._end()

    def _leave(self) -> bool:
        """A node is asked to leave gently; nothing is lost by that."""
        node = self._node()
        if node is None or node.brain.drain.on:
            return False
        here = [one for one in self._living() if one.number == node.number]
        if any(isinstance(one, DriverProcess) for one in here):
            return False  # what it owns would go with it
        self.world.fault(f"node {node.number} is asked to leave")
        self.gone.add(node.machine)
        self._scenario.more_errors |= LEFT
        self._begin()
        node.arrived([encode(Drain(HEAD))])
        self.world.at(1.0, self._look_whether_left, node, self.world.now)
        return True

    def _look_whether_left(self, node: NodeProcess, since: float) -> None:
        if not node.alive:
            self._end()
        elif self.world.now - since > LEAVING and not self._storms:
            self.world.fail(f"node{node.number}, asked to leave at {since:.1f}, is still there")
        else:
            self.world.at(1.0, self._look_whether_left, node, since)

    def _fill_disk(self) -> bool:
        """A node's disk is full for a while."""
        rng = self.world.rng
        node = rng.choice([node for node in self.world.nodes.values() if node.alive])
        seconds = self._seconds() * rng.random() ** 2
        self.world.fault(f"the disk of node {node.number} is full for {seconds:.1f} s")
        self._scenario.more_errors |= NO_ROOM
        node.disk.fill_up(rng.randrange(1 << 18) if rng.random() < 0.5 else None)
        self._begin()
        self.world.at(seconds, self._empty_disk, node)
        return True

    def _empty_disk(self, node: NodeProcess) -> None:
        node.disk.empty()
        self._end()

    def _fail_segments(self) -> bool:
        node = self.world.rng.choice([node for node in self.world.nodes.values() if node.alive])
        self.world.fault(f"node {node.number} gets no memory next time")
        node.failing_segments += 1
        self._scenario.more_errors |= NO_ROOM
        return True

    def _fail_forks(self) -> bool:
        node = self.world.rng.choice([node for node in self.world.nodes.values() if node.alive])
        self.world.fault(f"node {node.number} cannot fork next time")
        node.failing_forks += 1
        return True

    # -- within --------------------------------------------------------------------------

    def _seconds(self) -> float:
        rng = self.world.rng
        return rng.random() * (SHORT if rng.random() < 0.3 else LONGEST)

    def _begin(self) -> None:
        self.active += 1

    def _end(self) -> None:
        self.active -= 1
        self.over = self.world.now

    def _break(self, text: str, errors: frozenset[str] = CRASHED) -> None:
        self.over = self.world.now
        self._scenario.break_something(text, errors)

    def _out(self, machine: int) -> None:
        """The head loses this machine, or its own all others: drivers there may be ended."""
        lost = {machine} if machine != FIRST_NODE else set(self._machines()) - {FIRST_NODE}
        self._scenario.out |= lost

    def _living(self) -> list[Process]:
        return [one for one in self.world.processes.values() if one.alive]

    def _machine(self, process: Process) -> int:
        return self.world.machine(process.number)

    def _machines(self) -> list[int]:
        """Machines that are not gone."""
        return sorted({node.machine for node in self.world.nodes.values()} - self.gone)

    def _node(self) -> NodeProcess | None:
        """A live node that is not the head's."""
        nodes = [
            node for node in self.world.nodes.values()
            if node.alive and node.machine != FIRST_NODE and node.machine not in self.gone
        ]  # fmt: skip
        return self.world.rng.choice(nodes) if nodes else None

    def _part_from_all(self, machine: int) -> list[int]:
        others = [one for one in self._machines() if one != machine]
        silent = self.world.rng.random() < 0.5
        for other in others:
            self.world.part(machine, other, silent)
        return others


