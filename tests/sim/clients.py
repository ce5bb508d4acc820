"""Drivers and workers in the simulation: loop, executor and the running of programs.

Owns what `runtime.shell.client.loop`, `.executor`, `.worker` own in a real client,
with generators in place of threads. Does not own programs (`programs`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim import programs
from sim.api import Api, Big, Exit, Flow, Sleep, Until
from sim.machines import VERSIONS, Process
from sim.world import SimFailure, World, who

from nbray import exceptions
from nbray.exceptions import ObjectStoreFullError, TaskCancelledError
from nbray.ids import node_client
from nbray.options import UNIT
from nbray.runtime.core.client import ClientBrain
from nbray.runtime.core.effects import Effect, Forget, Log, Send
from nbray.runtime.core.worker import Done, Item, Start, WorkerBrain
from nbray.wire import messages as m
from nbray.wire.codec import client_decoder
from nbray.wire.pickling import pack, pack_error, unpack, unpack_error

NONE = pack(None).join()
decode = client_decoder().decode


def make_error(kind: str, text: str, cause: bytes = b"") -> bytes:
    """A packed nbray error."""
    if cause:
        text += str(unpack_error(cause))
    return pack_error(getattr(exceptions, kind)(text), "", "", 0)


class Thread:
    """A program in virtual time: runs until it yields `Sleep`, `Until` or `Exit`."""

    def __init__(self, process: ClientProcess, flow: Flow, ended: Callable[[Any], None]) -> None:
        self._process = process
        self._flow = flow
        self._ended = ended
        self._turn = 0
        self.waits: Until | None = None
        self._step(None)

    def _step(self, error: BaseException | None) -> None:
        process = self._process
        if not process.alive:
            return
        self._turn += 1
        self.waits = None
        try:
            wish = self._flow.throw(error) if error is not None else self._flow.send(None)
        except StopIteration as stop:
            self._ended(stop.value)
            return
        world = process.world
        match wish:
            case Sleep(seconds=seconds):
                world.at(seconds, self._resume, self._turn)
            case Until(done=done, timeout=timeout):
                self.waits = wish
                if done():
                    world.at(0.0, self._resume, self._turn)
                elif timeout is not None:
                    world.at(timeout, self._resume, self._turn)
            case Exit():
                process.end("exited with code 1")
            case _:
                raise AssertionError(wish)

    def _resume(self, turn: int) -> None:
        if self._process.stands(self._resume, turn):
            return
        if turn == self._turn and self._process.alive:
            self._step(None)

    def look(self) -> None:
        """Go on if what it waits for has come."""
        if self.waits is not None and self.waits.done():
            self._process.world.at(5e-6, self._resume, self._turn)

    def throw(self, error: BaseException) -> None:
        """Raise in the program, where it stands."""
        self._step(error)

    def close(self) -> None:
        """The process is dead."""
        self._turn += 1
        self._flow.close()


class ClientProcess(Process):
    """What drivers and workers share."""

    def __init__(self, world: World, me: int) -> None:
        super().__init__(world, me)
        self.brain = ClientBrain(me, self.number, make_error)
        self.worker: WorkerBrain | None = None
        self.api = Api(self)
        self.thread: Thread | None = None
        self.node = node_client(self.number)

    def register(self, driver: bool) -> None:
        """Present this process to its node."""
        self.post(self.node, m.Register(self.me, self.me & 0xFFFF, driver, VERSIONS, "sim"))

    def origin(self) -> tuple[int, int]:
        """(job, depth) of work submitted here and now."""
        return self.me, 0

    # -- the loop ---------------------------------------------------------------------

    def handle(self, message: Any, now: float) -> list[Effect]:
        """Take a message."""
        return self.brain.handle(message, now)

    def round(self) -> None:
        """See `Loop.round`."""
        now = self.world.now
        effects: list[Effect] = []
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
        self.check_threads()
        due = brain.next_deadline()
        if due is not None:
            self.wake(max(due, now + 1e-5))
        if brain.objects.dropped or brain.objects.added:
            self.wake(now + 0.1)  # as the loop does when it is idle

    def perform(self, effects: list[Effect]) -> None:
        """Carry effects out."""
        if not self.alive:
            return
        for effect in effects:
            if isinstance(effect, Send):
                self.post(effect.to, effect.message)
            elif isinstance(effect, Forget):
                self.forgotten.add(effect.client)
            else:
                assert isinstance(effect, Log), effect
        due = self.brain.next_deadline()
        if due is not None:
            self.wake(due)

    def check_cpus(self) -> None:
        """Fail if more runs on this machine than it has CPUs (see `WorkerProcess`)."""

    def nudge(self) -> None:
        """Something was submitted."""
        self.wake(self.world.now + 0.002 * self.world.rng.random())

    def drop(self, key: m.Ref) -> None:
        """A reference went out of scope; the loop notices by and by."""
        if self.alive:
            self.brain.objects.dropped.append(key)
            self.wake(self.world.now + 0.1 * self.world.rng.random() ** 3)

    def check_threads(self) -> None:
        """Let the program go on if what it waits for has come."""
        if self.thread is not None:
            self.thread.look()

    # -- the end ------------------------------------------------------------------------

    def end(self, cause: str) -> None:
        """The process ends; root or a pidfd tells the node."""
        if not self.alive:
            return
        self.die()
        node = self.world.nodes[self.number]
        self.world.at(self.world.delay(), node.child_ended, self.me, cause)

    def die(self) -> None:
        super().die()
        if self.thread is not None:
            thread, self.thread = self.thread, None
            # The program that is running now (it asked for its end) cannot be closed from within.
            self.world.at(0.0, thread.close)


class DriverProcess(ClientProcess):
    """A driver: runs one program, then says goodbye when asked to."""

    def __init__(self, world: World, me: int) -> None:
        super().__init__(world, me)
        self.finished = False
        self.result: Any = None
        self.register(driver=True)

    def main(self, flow: Callable[[Api], Flow]) -> None:
        """Run a program in the main thread, once registered."""

        def whole() -> Flow:
            yield Until(lambda: self.brain.registered is not None)
            return (yield from flow(self.api))

        def ended(result: Any) -> None:
            self.finished, self.result = True, result
            self.thread = None

        self.thread = Thread(self, whole(), ended)

    def goodbye(self) -> None:
        """End in order."""
        self.perform([*self.brain.pump(self.world.now), Send(self.node, m.Goodbye(self.me))])
        self.world.at(0.3, self.end, "ended in order")


class WorkerProcess(ClientProcess):
    """A worker: its brain and its executor."""

    def __init__(self, world: World, me: int) -> None:
        super().__init__(world, me)
        self.worker = WorkerBrain(self.brain)
        self.instance: Any = None
        self.item: Item | None = None
        """What user code runs in now."""
        self._bracket: tuple[int, int] | None = None
        self.register(driver=False)
        self.thread = Thread(self, self._run(), lambda _: self.end("exited with code 0"))

    def origin(self) -> tuple[int, int]:
        item = self.item
        return (item.spec.job, item.spec.depth + 1) if item is not None else (self.me, 0)

    # -- the loop -------------------------------------------------------------------------

    def handle(self, message: Any, now: float) -> list[Effect]:
        assert self.worker is not None
        effects = self.worker.handle(message, now)
        if type(message) is m.Cancel and self._bracket in self.worker.cancelled:
            self.world.at(1e-5, self._interrupt, self._bracket)
        return effects

    def _interrupt(self, bracket: tuple[int, int]) -> None:
        if self.stands(self._interrupt, bracket):
            return
        if self.alive and self._bracket == bracket and self.thread is not None:
            self._bracket = None
            self.thread.throw(KeyboardInterrupt("cancelled"))

    def round(self) -> None:
        super().round()
        if not self.alive:
            return
        worker = self.worker
        assert worker is not None
        now = self.world.now
        self.perform([*worker.flush(), *worker.tick(now)])
        if worker.current is not None or worker.done:
            self.wake(now + 0.01)

    # -- the executor -----------------------------------------------------------------------

    def _run(self) -> Flow:
        """See `Executor.run`."""
        brain, client, world = self.worker, self.brain, self.world
        assert brain is not None
        yield Until(lambda: client.registered is not None or bool(client.ended))
        flushed = 0.0
        while not client.ended:
            try:
                item = brain.queue.popleft()
            except IndexError:
                self.flush()
                brain.rest()
                yield Until(lambda: bool(brain.queue) or bool(client.ended))
                continue
            if isinstance(item, Start):
                yield from self._become(item.message)
                continue
            brain.begin(item, world.now)
            self.wake(world.now + 0.01)
            yield from self._run_item(item)
            brain.rest()
            if world.now - flushed > 0.001:
                self.flush()
                flushed = world.now
            if world.rng.random() < 0.3:
                yield Sleep(1e-5 * world.rng.random())
        self.flush()
        return None

    def flush(self) -> None:
        """Send the answers that have gathered."""
        assert self.worker is not None
        objects = self.brain.objects
        if self.worker.done or objects.added or objects.dropped:
            self.perform(self.worker.flush())

    def _run_item(self, item: Item) -> Flow:
        brain = self.worker
        assert brain is not None
        key = (item.caller, item.seq)
        self.world.tell(self.me, "runs", item.caller, (item.seq, item.spec.name))
        self.item = item
        try:
            try:
                self._bracket = key
                if key in brain.cancelled:
                    raise KeyboardInterrupt("cancelled")
                self._started(item)
                result = yield from self._call(item)
                self._bracket = None
                done = yield from self._answer(item, result)
                del result
            finally:
                self._bracket = None
        except (GeneratorExit, SimFailure):
            raise
        except BaseException as error:
            done = self._failure(item, error)
            error.__traceback__ = None
        self.item = None
        brain.cancelled.discard(key)
        brain.done.append(done)

    def _started(self, item: Item) -> None:
        """Count the start; check that the caller may use this worker, and how often it ran."""
        world = self.world
        key = (item.caller, item.seq)
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
        most = node.brain.ledger.total["CPU"]
        used = sum(
            process.uses()
            for process in self.world.processes.values()
            if isinstance(process, WorkerProcess) and process.number == self.number
        )
        if node.alive and used > most:
            self.world.fail(f"node{self.number} runs on {used / UNIT} CPUs and has {most / UNIT}")

    def uses(self) -> int:
        """On how many ten-thousandths of a CPU this process runs, by right."""
        worker, item = self.worker, self.item
        assert worker is not None
        if not self.alive or item is None or worker.pauses.stands or worker.pauses.overdrawn:
            return 0
        shape = worker.actor.spec.resources if worker.actor else item.spec.resources
        return shape.get("CPU", 0)

    def _call(self, item: Item) -> Flow:
        spec, extra = item.spec, item.extra
        if extra is None:
            args, kwargs = unpack(item.args, self.api.restore)
            args = list(args)
        else:
            args, kwargs = yield from self._arguments(
                item.args, extra.args, extra.args_ref, extra.deps
            )
        if spec.function:
            assert self.worker is not None
            assert self.worker.functions[spec.function] == b"code of " + spec.function
            program = getattr(programs, spec.function.decode())
        else:
            program = getattr(self.instance, spec.name)
        flow = program(self, *args, **kwargs)
        del args, kwargs
        return (yield from flow)

    def _arguments(
        self, plain: bytes, args: m.Value | None, args_ref: m.Ref | None, deps: Any
    ) -> Flow:
        if args is None:
            positional, kwargs = unpack(plain, self.api.restore)
        else:
            positional, kwargs = yield from self.api.value(args, args_ref or (0, 0))
        filled = list(positional)
        for where, value, key in deps:
            one = yield from self.api.value(value, key)
            if isinstance(where, int):
                filled[where] = one
            else:
                kwargs[where] = one
        return filled, kwargs

    # -- answers --------------------------------------------------------------------------------

    def _answer(self, item: Item, result: Any) -> Flow:
        spec = item.spec
        third = self._third(item)
        if spec.num_returns == 1:
            value, data = yield from self._value(item, result)
            if value is None:
                return Done(item.caller, item.seq, spec.id, data, None, self._micros(), third, ())
            values = [value]
        elif spec.num_returns == 0:
            values = [m.Value(NONE)]
        else:
            values = []
            for part in result:
                value, data = yield from self._value(item, part)
                values.append(value if value is not None else m.Value(data))
        refs = tuple(ref for value in values for ref in value.refs)
        self.brain.objects.hold(refs)
        outcome = m.Outcome(item.seq, values)
        return Done(item.caller, item.seq, spec.id, b"", outcome, self._micros(), third, refs)

    def _micros(self) -> int:
        assert self.worker is not None
        return int((self.world.now - self.worker.started) * 1e6)

    def _value(self, item: Item, result: Any) -> Flow:
        packed = pack(result)
        if isinstance(result, Big):
            slot = yield from self.api.store(packed.join(), result.size, item.caller)
            return m.Value(b"", [slot], list(packed.refs)), b""
        if packed.refs:
            return m.Value(packed.join(), [], list(packed.refs)), b""
        return None, packed.join()

    def _failure(self, item: Item, error: BaseException) -> Done:
        assert self.worker is not None
        spec = item.spec
        cancelled = (item.caller, item.seq) in self.worker.cancelled and isinstance(
            error, KeyboardInterrupt | TaskCancelledError
        )
        if cancelled:
            error = TaskCancelledError(f"{spec.name} was cancelled")
        retry = (
            bool(spec.retry_on)
            and not cancelled
            and isinstance(error, Exception)
            and not isinstance(error, ObjectStoreFullError)
        )
        data = pack_error(error, spec.name, f"host{self.number}", 1)
        outcome = m.Outcome(item.seq, [m.Value(data, failed=True)], True, retry, cancelled)
        third = self._third(item)
        return Done(item.caller, item.seq, spec.id, b"", outcome, self._micros(), third, ())

    def _third(self, item: Item) -> tuple[m.Ref, ...]:
        extra = item.extra
        if extra is None:
            return ()
        refs = list(extra.args.refs) if extra.args is not None else []
        refs += [ref for _, value, key in extra.deps for ref in (key, *value.refs)]
        return tuple(ref for ref in refs if ref[0] not in (item.caller, self.me))

    # -- actors -----------------------------------------------------------------------------------

    def _become(self, message: m.BecomeActor) -> Flow:
        spec = message.spec
        error_data = b""
        outer = m.Spec(0, b"", "__init__", 1, b"", "", spec.job, 1, spec.resources)
        self.item = Item(spec.owner, outer, -1, b"", None, message.gpus, 1e9)
        try:
            args, kwargs = yield from self._arguments(b"", spec.args, spec.args_ref, spec.deps)
            cls = getattr(programs, spec.function.decode())
            self.instance = cls(message.incarnation)
            yield from self.instance.init(self, *args, **kwargs)
            del args, kwargs
        except (GeneratorExit, SimFailure):
            raise
        except BaseException as error:
            error_data = pack_error(error, f"{spec.class_name}.__init__", "", 1)
            error.__traceback__ = None
        self.item = None
        up = m.ActorUp(
            self.me, spec.owner, spec.actor, message.incarnation, self.me, error_data
        )
        assert self.worker is not None
        self.perform([*self.worker.flush(), Send(self.node, up)])
