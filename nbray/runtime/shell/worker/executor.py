"""Running user code in a worker: one at a time in the main thread, or as an actor wants it.

Owns the main thread of a worker, the loaded functions and the actor's
instance. Does not own the queue's order or what is given back (the brain's).

Rules. A plain task or method runs in the main thread, so that interrupts reach
it; a handler raises only inside the bracket of the task it is meant for.
Answers gather for a millisecond, and leave at once when nothing is queued.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from types import AsyncGeneratorType, FrameType, GeneratorType, MethodType
from typing import TYPE_CHECKING, Any, cast

from nbray import gpus, session
from nbray.engine import method_of
from nbray.exceptions import TaskCancelledError
from nbray.hosting.classes import called, is_async, made
from nbray.hosting.imports import Imports, importing
from nbray.hosting.output import Origin, Output
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.worker.brain import Done, Item, Start, WorkerBrain
from nbray.runtime.core.worker.lacking import given_back
from nbray.runtime.core.worker.own_calls import constructor_spec
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory, Vanished
from nbray.runtime.shell.worker.functions import Functions, not_loaded
from nbray.runtime.shell.worker.returns import NONE, NUMBERS, SHORT, TEXTS, Returns, Yielded
from nbray.wire.failures import one_line, unmade
from nbray.wire.messages import ActorUp, BecomeActor, Outcome, Ref, Spec, Value
from nbray.wire.pickling import pack_error, unpack

if TYPE_CHECKING:
    from nbray.runtime.shell.worker.streaming import Streaming

GENERATORS = frozenset({GeneratorType, AsyncGeneratorType})
_dumps = pickle.dumps
FLUSH_SECONDS = 0.005
"""Seconds that answers gather while work is queued; then the loop thread sends them."""
OVERDUE_SECONDS = 0.05
"""Seconds after which the main thread sends them: the loop thread does not come by."""
MOST_WORDS = 300
"""Characters of an error that are kept for screens."""

running: contextvars.ContextVar[Item | None] = contextvars.ContextVar("nbray_task", default=None)
"""What this context runs."""


class Executor:
    """The main thread of a worker."""

    def __init__(
        self, brain: WorkerBrain, loop: Loop, memory: Memory, output: Output[ClientEffect],
        node_name: str, imports: Imports, becomes: Callable[[Callable[[], None]], None],
    ) -> None:
        self.brain, self.loop = brain, loop
        self.memory = memory
        self.output = output
        self.taken = 0
        """How many tasks and calls the main thread took since it last waited."""
        self.instance: Any = None
        self._methods: dict[str, Callable[..., Any]] = {}
        self.runner: Any = None
        """Where a coroutine ran as `__init__`, and calls that follow do (an `asyncio.Runner`)."""
        self.actor: BecomeActor | None = None
        self._called = ""
        self.leaving = False
        """`exit_actor` was called: end after this call."""
        self.parting: SystemExit | None = None
        """It was called beside other calls: nothing begins, and those run to their ends."""
        self.forked = False
        """This process was forked from the worker by what the worker ran."""
        self._node_name = node_name
        self._becomes = becomes
        """Makes this process an actor's: gets what is to be done before user code ends it."""
        self._pid = os.getpid()
        self.functions = Functions(brain, loop, memory, imports)
        self._function = self.functions.get
        self.returns = Returns(brain, loop, memory)
        self._streaming: Streaming | None = None
        self._latest: Item | None = None
        """What has run last, for output of threads that no context has reached."""
        self._bracket: tuple[int, int] | None = None
        self._postponed = False
        self._event = Flag()
        self.devices = gpus.own()
        """What the node may use: tasks get some of them."""
        self._gpus: list[int] | None = None
        self._past = brain.past.append
        self.flushed = 0.0
        """When answers were last sent."""
        self._news: Callable[[], None] | None = None
        """Called when calls arrive for an actor that runs them concurrently."""

    # -- interrupts ---------------------------------------------------------------

    def install_interrupt(self) -> None:
        """Have SIGINT end the running task if that was cancelled, and do nothing otherwise."""
        signal.signal(signal.SIGINT, self._on_sigint)

    def in_fork(self) -> None:
        """In a process forked from this one: leave the worker's signals and work to it."""
        if signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        from nbray.runtime.shell.worker.forked import Left, leave  # where there is one at all

        # What began in user's code ends where that returns or raises.
        self.forked = True
        self.loop = cast("Loop", Left())
        self.__dict__["failure"] = leave

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        if not self.loop.postpone(self.raise_if_cancelled):
            self.raise_if_cancelled()

    def raise_if_cancelled(self) -> None:
        """Raise in the main thread if the task in its bracket was cancelled.

        Not within an import: compiled modules cannot be imported a second time, so the
        worker would be of no use any more. `remind` tries again.
        """
        if self._interrupts():
            if importing(sys._getframe()):
                self._postponed = True
                return
            self._bracket = None
            raise KeyboardInterrupt("cancelled")

    def remind(self) -> None:
        """In the loop thread, now and then: interrupt what could not be interrupted before."""
        if self._postponed:
            self._postponed = False
            self.on_cancel()

    def _interrupts(self) -> bool:
        """Whether what runs in the main thread was cancelled so that it is interrupted."""
        key, brain = self._bracket, self.brain
        return key is not None and key in brain.cancelled and key not in brain.spared

    def on_cancel(self) -> None:
        """Something running was cancelled; called after the message, maybe in another thread."""
        if self._interrupts():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if self._news is not None:
            self._news()

    # -- the main loop ---------------------------------------------------------------

    def origin(self) -> Origin | None:
        """Who prints in this context; in a thread of the user's own, what runs or ran last."""
        item = running.get() or self.brain.current or self._latest
        if item is None:
            return None
        spec = item.spec
        return Origin(spec.job, spec.cell, self._called or self._task_name(item))

    def _task_name(self, item: Item) -> str:
        if self.actor is not None and not (item.spec.function or item.spec.method):
            return f"{self.actor.spec.class_name}.{item.spec.name}"
        return item.spec.name

    def run(self) -> None:
        """Run work until the node says to end."""
        brain, loop = self.brain, self.loop
        queue, ended = brain.queue, brain.client
        popleft, monotonic, pieces = queue.popleft, loop.now, self.output.pieces

        def wanted() -> bool:
            return bool(queue or ended.ended or loop.closed or brain.undefined)

        while not (ended.ended or loop.closed or self.leaving):
            if brain.undefined:
                self.functions.undefine()
            try:
                item = popleft()
            except IndexError:
                self.flush()
                loop.wait(wanted, None, self._event)
                self.taken = 0
                continue
            self.taken += 1
            if type(item) is Start:
                self._become(item.message)
                if self.actor is not None and self._concurrent():
                    return
                continue
            assert isinstance(item, Item)
            now = monotonic()
            self._run_item(item, now)
            brain.rest()
            if pieces or now - self.flushed > OVERDUE_SECONDS:
                self.flush()
        self.flush()

    def flush(self, raw: bool = False) -> None:
        """Send answers and output that have gathered; *raw*: other threads may answer meanwhile."""
        brain, output = self.brain, self.output
        if output.behind():
            output.drain(self.origin() or self._before())
        self.flushed = self.loop.now()
        gathered, objects = output.pieces or brain.done, brain.client.objects
        if gathered or brain.yields.waiting or objects.added or objects.dropped:
            self.loop.locked(partial(self.gathered, raw))

    def gathered(self, raw: bool = False) -> list[ClientEffect]:
        """The answers so far, behind what was printed before them. Under the loop's lock."""
        answers = self.brain.flush()  # first: others may print, and then answer, meanwhile
        text = self.output.take() if raw else self.output.noted() if self.output.pieces else ()
        return [*text, *answers]

    def flush_from_here(self) -> None:
        """The user's code ends the process: send answers, if this thread may."""
        if not (self.forked or self.loop.closed or self.loop.held_here()):
            self.flush()
            self.loop.locked(list)  # what another thread has taken has been sent

    # -- one item ----------------------------------------------------------------------

    def _run_item(self, item: Item, now: float) -> None:
        """Run a task or call in this thread and note its answer."""
        brain, key = self.brain, (item.caller, item.seq)
        token = running.set(item)
        cell = item.spec.cell
        if session.cell.get() != cell:
            self.output.drain(self._before())
            session.cell.set(cell)
        brain.begin(item, now)  # from here on what the loop thread finds written is its
        self._latest = item
        started = self.loop.now()
        try:
            try:
                self._bracket = key
                if key in brain.cancelled:
                    raise KeyboardInterrupt("cancelled")
                result = self._call(item)
                self._bracket = None
                if brain.spared and key in brain.spared:
                    raise TaskCancelledError("cancelled")
                done = self.answer(item, result, started)
            finally:
                self._bracket = None
        except Vanished as gone:  # it has not begun: others run here, until its argument is there
            running.reset(token)
            self.loop.locked(partial(given_back, brain, item, gone.copies))
            return
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its answer
            done = self.failure(item, error, started)
            self.note(item, error, started, done)
        else:
            self._past((item.spec, *key, started, done.micros, None))
        if self.output.at_end is not None and self.actor is None:
            self._show_open()
        running.reset(token)
        if key in brain.cancelled:
            brain.cancelled.discard(key)
        brain.done.append(done)
        if done.outcome is not None and item.gpus and self.actor is None:
            self._look_at_gpus(done.outcome)

    def _look_at_gpus(self, outcome: Outcome) -> None:
        """What had GPUs has ended: are they of use here?"""
        if outcome.failed and not outcome.cancelled:
            self.loop.locked(self.brain.spoil)

    def _before(self) -> Origin | None:
        """Whose text it is that was written before the running task began."""
        item = self._latest
        return Origin(item.spec.job, item.spec.cell, self._task_name(item)) if item else None

    def _show_open(self) -> None:
        """Show what the task left open (figures)."""
        try:
            assert self.output.at_end is not None
            self.output.at_end()
        except Exception:  # noqa: BLE001 - a figure that cannot be drawn fails no task
            with contextlib.suppress(Exception):  # the task may have taken its streams away
                sys.stderr.write(traceback.format_exc())

    def _call(self, item: Item) -> Any:
        spec = item.spec
        if (item.gpus or self._gpus) and item.gpus != self._gpus:
            self._gpus = item.gpus
            self.devices.show(item.gpus, os.environ)
        if spec.env is not None:
            self.functions.enter(spec.env, spec.job, spec.cell)
        try:
            function = self._function(spec.function) if spec.function else self.method(spec)
            if item.extra is None:
                args, kwargs = unpack(item.args, self.memory.restore) if item.args else ((), {})
            else:
                args, kwargs = self.arguments(item.args, item.extra.args, item.extra.args_ref,
                                              item.extra.deps)  # fmt: skip
        except Exception as error:
            not_loaded(error, self._task_name(item), self._node_name)
            raise
        if spec.num_returns != 1:
            return self._of_several(item, function(*args, **kwargs))
        return function(*args, **kwargs)

    def _of_several(self, item: Item, result: Any) -> Any:
        """The result of a task without one return: generators have not run yet."""
        if item.spec.num_returns < 0 or type(result) in GENERATORS:
            return self.streaming().run(item, result)
        return result

    def streaming(self) -> Streaming:
        """What runs generators here."""
        if self._streaming is None:
            from nbray.runtime.shell.worker.streaming import Streaming  # late: few tasks yield

            self._streaming = Streaming(self)
        return self._streaming

    def arguments(
        self,
        plain: bytes,
        args: Value | None,
        args_ref: Ref | None,
        deps: list[tuple[int | str, Value, Ref]],
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a call, dependencies in their places."""
        memory = self.memory
        if args is None:
            positional, kwargs = unpack(plain, memory.restore)
        else:
            positional, kwargs = memory.value(args, args_ref or (0, 0))
        waits = self.actor is not None  # whose calls have an order
        filled = list(positional)
        for where, value, key in deps:
            if isinstance(where, int):
                filled[where] = memory.value(value, key, waits)
            else:
                kwargs[where] = memory.value(value, key, waits)
        return filled, kwargs

    def method(self, spec: Spec) -> Callable[..., Any]:
        """A method of the actor: as Ray has it, the one that its class had at the first call."""
        name = spec.method or spec.name
        method = self._methods.get(name)
        if method is None:
            method = method_of(self.instance, name)
            if type(method) is MethodType:
                self._methods[name] = method
        return method

    # -- answers -------------------------------------------------------------------------

    def answer(self, item: Item, result: Any, started: float) -> Done:
        """The answer for a result. Raises what packing raises."""
        spec, brain = item.spec, self.brain
        micros = int((self.loop.now() - started) * 1e6)
        if brain.client.moved:
            micros = brain.own_time(micros)
        kind = type(result)
        if spec.num_returns == 1 and (
            kind in NUMBERS or (kind in TEXTS and len(result) <= SHORT)
        ):
            data = NONE if result is None else _dumps(result, 5)
            third = () if item.extra is None else self._third(item)
            return Done(item.caller, item.seq, spec.id, data, None, micros, third, ())
        name = self._task_name(item)
        if spec.num_returns == 1:
            if kind is GeneratorType and result.gi_code.co_name != "<genexpr>":
                result = next(result)  # as Ray has it
            value, data = self.returns.one(item, result, f"the result of {name}")
            if value is None:
                third = self._third(item)
                return Done(item.caller, item.seq, spec.id, data, None, micros, third, ())
            values = [value]
        elif spec.num_returns == 0:
            values = [Value(NONE)]
        elif kind is Yielded:
            values = result.values
        elif spec.num_returns < 0:
            values = self.streaming().values(item)
        else:
            values = self.returns.several(item, result, name)
        refs = tuple(ref for value in values for ref in value.refs)
        self.brain.client.objects.hold(refs)
        outcome = Outcome(item.seq, values)
        return Done(item.caller, item.seq, spec.id, b"", outcome, micros, self._third(item), refs)

    def failure(self, item: Item, error: BaseException, started: float) -> Done:
        """The answer for an exception."""
        spec = item.spec
        micros = int((self.loop.now() - started) * 1e6)
        if self.brain.client.moved:
            micros = self.brain.own_time(micros)
        name = self._task_name(item)
        cancelled = (item.caller, item.seq) in self.brain.cancelled and isinstance(
            error, (KeyboardInterrupt, TaskCancelledError)
        )
        if cancelled:
            where = error.__traceback__  # what had begun tells where it was
            error = TaskCancelledError(f"{name} was cancelled").with_traceback(where)
        retry = False
        if isinstance(error, SystemExit):
            from nbray.runtime.shell.worker import ending  # few do so

            ending.leave(self, error)
        if spec.retry_on and not cancelled:
            retry = self.functions.retries(spec.retry_on, error)
        values = [Value(pack_error(error, name, self._node_name, self._pid), failed=True)]
        if spec.num_returns < 0 and self._streaming is not None:
            values = self._streaming.values(item, values[0], cancelled)
        outcome = Outcome(item.seq, values, True, retry, cancelled)
        BaseException.with_traceback(error, None)  # its class may let nothing be set
        return Done(item.caller, item.seq, spec.id, b"", outcome, micros, self._third(item), ())

    def note(
        self, item: Item, error: BaseException | None, started: float, done: Done
    ) -> None:
        """Remember an ended task for screens; before its answer is appended to `done`."""
        why = None if error is None else one_line(error)[:MOST_WORDS]
        if done.outcome is not None and done.outcome.cancelled:
            why = ""
        self._past((item.spec, item.caller, item.seq, started, done.micros, why))

    def _third(self, item: Item) -> tuple[Ref, ...]:
        """References among the arguments that belong to neither caller nor worker."""
        extra = item.extra
        if extra is None:
            return ()
        refs = list(extra.args.refs) if extra.args is not None else []
        refs += [ref for _, value, key in extra.deps for ref in (key, *value.refs)]
        refs += extra.captured
        return tuple(ref for ref in refs if ref[0] not in (item.caller, self.brain.me))

    # -- actors ------------------------------------------------------------------------------

    def _become(self, message: BecomeActor) -> None:
        """Load the class and run `__init__`."""
        spec = message.spec
        token = running.set(None)
        session.cell.set(spec.cell)
        error_data, why = b"", ""
        self.actor = message
        if message.gpus:
            self.devices.show(message.gpus, os.environ)
        self._becomes(self.flush_from_here)
        item = Item(spec.owner, constructor_spec(spec), -1, b"", None, message.gpus, 1e9)
        running.set(item)
        self._latest = item
        try:
            try:
                cls = self.functions.class_of(spec)
                args, kwargs = self.arguments(b"", spec.args, spec.args_ref, spec.deps)
            except Exception as error:
                not_loaded(error, f"{spec.class_name}.__init__", self._node_name)
                raise
            self.instance, self.runner = made(cls, args, kwargs)
            self._called = called(self.instance)
        except BaseException as error:  # noqa: BLE001 - whatever __init__ raises is the answer
            if self.forked:
                self.failure(item, error, 0.0)
            name = f"{spec.class_name}.__init__"
            error_data, why = pack_error(error, name, self._node_name, self._pid), unmade(error)
        running.reset(token)
        me, node = self.brain.me, self.memory.node
        up = ActorUp(me, spec.owner, spec.actor, message.incarnation, me, error_data, why)
        self.loop.locked(lambda: [*self.output.take(), *self.gathered(), Send(node, up)])

    def _concurrent(self) -> bool:
        """Serve an async or threaded actor until its end, if this is one."""
        assert self.actor is not None
        if self.instance is None:
            return False
        if is_async(type(self.instance)):
            from nbray.runtime.shell.worker.concurrent import serve_async

            serve_async(self, self.actor.spec.max_concurrency or 1000, self.actor.spec.groups)
            return True
        groups = self.actor.spec.groups
        if self.actor.spec.max_concurrency > 1 or groups:
            from nbray.runtime.shell.worker.concurrent import Threads

            Threads(self, max(1, self.actor.spec.max_concurrency), groups).serve()
            return True
        return False

    def watch_news(self, news: Callable[[], None] | None) -> None:
        """Have *news* called when calls or cancellations arrive."""
        self._news = news

    def arrived(self) -> None:
        """Calls may have arrived (called by the loop after each message for the executor)."""
        if self._news is not None:
            self._news()
