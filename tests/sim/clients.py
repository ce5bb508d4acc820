"""Drivers and workers in the simulation: real engines and executors over virtual time.

Owns the wiring of a client's process, and when its loop takes what has come: what
`engines.native`, `runtime.shell.worker` and the loop's thread own in a real one. Does
not own programs (`programs`) nor what the wiring stands on (`loops`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.api import Api
from sim.loops import Callbacks, ClientLoop, Views
from sim.processes import VERSIONS, Process
from sim.threads import Thread, sleep
from sim.world import World, who

from nbray.hosting.modules import Packed
from nbray.hosting.output import Output
from nbray.ids import node_client
from nbray.options import UNIT
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import ClientEffect, Forget, Send
from nbray.runtime.core.placement import out_of_group
from nbray.runtime.core.worker.brain import Done, Item, WorkerBrain
from nbray.runtime.shell.client.engine import NativeEngine
from nbray.runtime.shell.client.memory import Vanished
from nbray.runtime.shell.client.registering import make_error
from nbray.runtime.shell.worker.executor import FLUSH_SECONDS, Executor, running
from nbray.runtime.shell.worker.process import LATE_SECONDS, sending
from nbray.wire import messages as m
from nbray.wire.codec import client_decoder

decode = client_decoder().decode


class NoModules:
    """Every process of the simulation has the same modules, and none travels."""

    digest = b"everybody's"

    def packed(self, cell: str) -> Packed:
        return Packed(self.digest, b"")

    def target(self, function: Any) -> Any:
        return function.call


class ClientProcess(Process):
    """What drivers and workers share."""

    def __init__(self, world: World, me: int) -> None:
        super().__init__(world, me)
        self.brain = ClientBrain(me, self.number, make_error)
        self.worker: WorkerBrain | None = None
        self.threads: list[Thread] = []
        self.loop: Any = ClientLoop(self)
        self.views = Views(self)
        self.api = Api(self)
        self.node = node_client(self.number)

    def begin(self, driver: bool, **more: Any) -> bool:
        """Become a client of the node, with an engine; False if it will not have us."""
        brain, loop = self.brain, self.loop
        self.post(self.node, m.Register(self.me, self.me & 0xFFFF, driver, VERSIONS, "sim"))
        loop.wait(lambda: brain.registered is not None or bool(brain.ended), None, None)
        if brain.registered is None:
            return False
        callbacks: Any = Callbacks(self)
        modules: Any = NoModules()
        engine = NativeEngine(
            brain, loop, registered=brain.registered, namespace="sim" if driver else "",
            mappings=self.views, callbacks=callbacks, modules=modules, **more,
        )  # fmt: skip
        self.api.begin(engine)
        return True

    # -- the loop ---------------------------------------------------------------------

    def handle(self, message: Any, now: float) -> list[ClientEffect]:
        """Take a message."""
        return self.brain.handle(message, now)

    def take(self) -> None:
        """Take what has arrived, let the brain act, send (see `Loop.round`)."""
        now = self.world.now
        effects: list[ClientEffect] = []
        while self.inbox:
            message = decode(self.inbox.popleft()[-1])
            self.world.tell(self.me, "<-", message.sender, message)
            effects += self.handle(message, now)
        brain = self.brain
        effects += brain.pump(now)
        due = brain.next_deadline()
        if due is not None and due <= now:
            effects += brain.tick(now)
            effects += brain.pump(now)
        self.perform(effects)

    def look_after(self, now: float) -> list[ClientEffect]:
        """What the loop's thread does besides."""
        if hasattr(self.api, "engine"):
            return self.api.engine.after_round(now)
        return []

    def round(self) -> None:
        """Something has come, or is due."""
        if self.loop.closed:
            return
        now = self.world.now
        self.take()
        self.perform(self.look_after(now))
        self.check_threads()
        due = self.brain.next_deadline()
        if due is not None:
            self.wake(max(due, now + 1e-5))
        if self.brain.objects.dropped or self.brain.objects.added:
            self.wake(now + 0.1)  # as the loop does when it is idle

    def perform(self, effects: list[ClientEffect]) -> None:
        """Carry effects out."""
        if not self.alive or self.world.over:
            return
        for effect in effects:
            if isinstance(effect, Send):
                self.post(effect.to, effect.message)
            else:
                assert isinstance(effect, Forget), effect
                self.forgotten.add(effect.client)
        due = self.brain.next_deadline()
        if due is not None:
            self.wake(due)

    def notice(self) -> None:
        """References may have gone or come; the loop notices by and by."""
        if self.alive and (self.brain.objects.dropped or self.brain.objects.added):
            self.wake(self.world.now + 0.1 * self.world.rng.random() ** 3)

    def check_cpus(self) -> None:
        """Fail if more runs on this machine than it has CPUs (see `WorkerProcess`)."""

    def nudge(self) -> None:
        """Something was submitted."""
        self.wake(self.world.now + 0.002 * self.world.rng.random())

    def check_threads(self) -> None:
        """Let those go on for which what they wait for has come."""
        for thread in self.threads:
            thread.look()

    # -- the end ------------------------------------------------------------------------

    def end(self, cause: str, oom: bool = False) -> None:
        """The process ends, *oom* for want of memory; root or a pidfd tells the node."""
        if not self.alive:
            return
        self.die()
        node = self.world.nodes[self.number]
        self.world.at(self.world.delay(), node.child_ended, self.me, cause, oom)

    def forget(self) -> None:
        self.views.close()

    def die(self) -> None:
        super().die()
        self.loop.closed = True


class DriverProcess(ClientProcess):
    """A driver: runs one program, then says goodbye when asked to."""

    def __init__(self, world: World, me: int) -> None:
        super().__init__(world, me)
        self.finished = False

    def main(self, program: Callable[[], Any]) -> None:
        """Run a program in the main thread, once registered."""

        def whole() -> None:
            if self.begin(driver=True):
                program()

        def ended(_result: Any) -> None:
            self.finished = True

        Thread(self, whole, ended)

    def goodbye(self) -> None:
        """End in order."""
        self.api.engine.shutdown()
        self.world.at(0.3, self.end, "ended in order")


class WorkerProcess(ClientProcess):
    """A worker: its brain and its executor."""

    def __init__(self, world: World, me: int) -> None:
        super().__init__(world, me)
        self.worker = WorkerBrain(self.brain)
        self.executor: SimExecutor | None = None
        self.main = Thread(self, self._run, lambda _: self.end("exited with code 0"))

    def _run(self) -> None:
        """See `runtime.shell.worker.main`."""
        brain = self.worker
        assert brain is not None
        if not self.begin(driver=False, worker=brain, running=running.get):
            return
        output: Output[ClientEffect] = Output(
            sending(self.me, self.me & 0xFFFF),
            lambda: None if self.executor is None else self.executor.origin(),
        )
        self.executor = SimExecutor(self, brain, output)
        self.loop.on_interrupt = self.executor.raise_if_cancelled
        brain.ready()
        self.executor.run()

    # -- the loop -------------------------------------------------------------------------

    def handle(self, message: Any, now: float) -> list[ClientEffect]:
        assert self.worker is not None
        effects = self.worker.handle(message, now)
        executor = self.executor
        if executor is not None:
            if type(message) is m.Cancel:
                executor.on_cancel()
            elif type(message) is m.Shown:
                executor.output.shown(message.sender, message.size)
        return effects

    def look_after(self, now: float) -> list[ClientEffect]:
        worker, executor = self.worker, self.executor
        assert worker is not None
        effects: list[ClientEffect] = []
        if executor is not None:
            since = now - executor.flushed
            waits = worker.done or worker.yields.waiting
            if since > LATE_SECONDS or (waits and since > FLUSH_SECONDS):
                executor.flushed = now
                effects = [*executor.output.take(), *worker.flush()]
        if self.brain.printed:
            self.api.engine.after_round(now)
        return [*effects, *worker.tick(now)]

    def round(self) -> None:
        super().round()
        worker = self.worker
        assert worker is not None
        if worker.current is not None or worker.done or worker.yields.waiting:
            self.wake(self.world.now + 0.01)

    # -- what is checked --------------------------------------------------------------------

    def check_start(self, item: Item) -> None:
        """Count a start; check that the caller may use this worker, and how often it ran."""
        world = self.world
        key = (item.caller, item.seq)
        world.tell(self.me, "runs", item.caller, (item.seq, item.spec.name))
        world.ran[key] += 1
        allowed = world.charged.get(key)
        # A worker's death is charged to one task; what else it held may have run as well.
        if allowed == 0 and world.ran[key] > 1:
            world.fail(f"{who(item.caller)}'s {item.spec.name} {item.seq} ran too often")
        if item.spec.function:
            node = world.nodes[self.number]
            lease = node.brain.leases.by_worker.get(self.me)
            known = node.brain.pool.get(self.me)
            ending = known is None or bool(known.why)
            if node.alive and not ending and (lease is None or lease.key[0] != item.caller):
                holder = "nobody" if lease is None else who(lease.key[0])
                world.fail(f"{who(self.me)} runs for {who(item.caller)} and is {holder}'s")
        self.check_cpus()

    def check_cpus(self) -> None:
        node = self.world.nodes[self.number]
        # What a bundle has taken of a CPU that was lent, its owner does not wait for.
        most = node.brain.ledger.total["CPU"] + node.brain.bundles.check().get("CPU", 0)
        used = sum(
            process.uses()
            for process in self.world.processes.values()
            if isinstance(process, WorkerProcess) and process.number == self.number
        )
        if node.alive and used > most:
            self.world.fail(f"node{self.number} runs on {used / UNIT} CPUs and has {most / UNIT}")

    def uses(self) -> int:
        """On how many ten-thousandths of a CPU this process runs, by right."""
        worker, executor = self.worker, self.executor
        assert worker is not None
        item = executor.item if executor is not None else None
        if not self.alive or item is None or worker.pauses.stands or worker.pauses.overdrawn:
            return 0
        shape = worker.actor.spec.resources if worker.actor else item.spec.resources
        return out_of_group(shape).get("CPU", 0)


class SimExecutor(Executor):
    """An executor whose interrupts are events of the world, and that says what it runs."""

    def __init__(
        self, process: WorkerProcess, brain: WorkerBrain, output: Output[ClientEffect]
    ) -> None:
        modules: Any = NoModules()
        super().__init__(
            brain, process.loop, process.api.engine.memory, output, f"host{process.number}",
            modules, lambda _: None,
        )  # fmt: skip
        self._pid = process.me & 0xFFFF  # it travels in errors
        self._process = process
        self._world = process.world
        self.item: Item | None = None
        """What user code runs in now."""

    def on_cancel(self) -> None:
        """Something running was cancelled: the kernel delivers a signal in a moment."""
        if self._interrupts():
            self._world.at(1e-5, self._interrupt)

    def _interrupt(self) -> None:
        if not self._process.stands(self._interrupt) and self._process.alive:
            self._process.main.interrupt(self.raise_if_cancelled)

    def _run_item(self, item: Item, now: float) -> None:
        if item.caller == self.brain.me and not item.spec.function:  # nobody has its handle
            self.flush()
            self.leaving = True  # there is no process to end
            return
        self.item = item
        super()._run_item(item, now)
        self.item = None
        if self._world.rng.random() < 0.3:  # others' messages come between two tasks
            self.brain.rest()
            sleep(1e-5 * self._world.rng.random())

    def _call(self, item: Item) -> Any:
        self._process.check_start(item)
        try:
            return super()._call(item)
        except Vanished:  # it goes back, and has not run
            self._world.ran[item.caller, item.seq] -= 1
            raise

    def failure(self, item: Item, error: BaseException, started: float) -> Done:
        if self._world.failure is not None:
            raise self._world.failure
        return super().failure(item, error, started)

    def _become(self, message: m.BecomeActor) -> None:
        spec = message.spec
        outer = m.Spec(0, b"", "__init__", 1, b"", "", spec.job, 1, spec.resources)
        self.item = Item(spec.owner, outer, -1, b"", None, message.gpus, 1e9)
        super()._become(message)
        self.item = None
