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
import gc
import linecache
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from types import FrameType, GeneratorType
from typing import Any, NoReturn

from nbray import gpus, session
from nbray.config import INLINE_LIMIT, MOST_RETURNED
from nbray.engine import method_of
from nbray.exceptions import (
    ObjectStoreFullError,
    RayError,
    TaskCancelledError,
    on_behalf,
    told_of,
)
from nbray.hosting.classes import is_async, made
from nbray.hosting.imports import Imports
from nbray.hosting.modules import Packed
from nbray.hosting.output import Origin, Output
from nbray.refs import ObjectRef
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.worker import Done, Item, Start, WorkerBrain
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory
from nbray.runtime.shell.machine.oom_scores import become_actor
from nbray.wire.failures import one_line
from nbray.wire.messages import ActorUp, BecomeActor, Outcome, Ref, Spec, Value
from nbray.wire.pickling import pack, pack_error, unpack, unpack_error

NONE = pack(None).join()
NUMBERS = frozenset({type(None), bool, int, float, complex})
TEXTS = frozenset({str, bytes})
SHORT = 1000
"""Characters up to which texts, like numbers, are pickled at once, without a closer look."""
TINY = 1024
"""Bytes of a return that rides in a message even behind many others."""
_dumps = pickle.dumps
FLUSH_SECONDS = 0.005
"""Seconds that answers gather while work is queued; then the loop thread sends them, so that
the next task need not wait for it."""
OVERDUE_SECONDS = 0.05
"""Seconds after which the main thread sends them itself: the loop thread does not come by."""
MOST_WORDS = 300
"""Characters of an error that are kept for screens."""
LARGE_SECONDS = 3.0
"""Seconds that a function which lies in the store stays loaded without being used."""
COLLECT_SECONDS = 0.5
"""Least time between two collections of functions that are not defined any more."""

running: contextvars.ContextVar[Item | None] = contextvars.ContextVar("nbray_task", default=None)
"""What this context runs."""


class Executor:
    """The main thread of a worker."""

    def __init__(
        self, brain: WorkerBrain, loop: Loop, memory: Memory, output: Output[ClientEffect],
        node_name: str, imports: Imports, becomes: Callable[[], None] = become_actor,
    ) -> None:
        self.brain = brain
        self.loop = loop
        self.memory = memory
        self.output = output
        self.taken = 0
        """How many tasks and calls the main thread took since it last waited."""
        self.instance: Any = None
        self.runner: Any = None
        """What has run a coroutine as `__init__`, and runs the calls that follow (an
        `asyncio.Runner`)."""
        self.actor: BecomeActor | None = None
        self.leaving = False
        """`exit_actor` was called: end after this call."""
        self._node_name = node_name
        self._imports = imports
        self._becomes = becomes
        """Tells the system that this process is an actor's from now on."""
        self._pid = os.getpid()
        self._functions: dict[bytes, Callable[..., Any]] = {}
        self._large: dict[bytes, tuple[Callable[..., Any], float]] = {}
        """Functions that lie in the store, and when they were last used."""
        self._litter = False
        """Functions were unloaded since garbage was last collected, at `_collected`."""
        self._collected = 0.0
        self._retry_on: dict[bytes, tuple[type[BaseException], ...]] = {}
        self._latest: Item | None = None
        """What has run last, for output of threads that no context has reached."""
        self._bracket: tuple[int, int] | None = None
        self._postponed = False
        self._event = threading.Event()
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

    def leave_interrupt(self) -> None:
        """In a process forked from this one: SIGINT means what it means anywhere."""
        if signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        if self.loop.critical:
            self.loop.interrupted = True
        else:
            self.raise_if_cancelled()

    def raise_if_cancelled(self) -> None:
        """Raise in the main thread if the task in its bracket was cancelled.

        Not within an import: compiled modules cannot be imported a second time, so the
        worker would be of no use any more. `remind` tries again.
        """
        if self._bracket is not None and self._bracket in self.brain.cancelled:
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

    def on_cancel(self) -> None:
        """Something running was cancelled; called after the message, maybe in another thread."""
        if self._bracket is not None and self._bracket in self.brain.cancelled:
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
        return Origin(spec.job, spec.cell, self._task_name(item))

    def _task_name(self, item: Item) -> str:
        if self.actor is not None and not item.spec.function:
            return f"{self.actor.spec.class_name}.{item.spec.name}"
        return item.spec.name

    def run(self) -> None:
        """Run work until the node says to end."""
        brain, loop = self.brain, self.loop
        queue = brain.queue
        popleft = queue.popleft
        monotonic = loop.now
        ended = brain.client

        def wanted() -> bool:
            return bool(queue) or bool(ended.ended) or loop.closed or bool(brain.undefined)

        while not (ended.ended or loop.closed or self.leaving):
            if brain.undefined:
                self._undefine()
            try:
                item = popleft()
            except IndexError:
                self.flush()
                brain.rest()
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
            if now - self.flushed > OVERDUE_SECONDS or self.output.waiting:
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Send answers and output that have gathered."""
        brain, output = self.brain, self.output
        if output.behind():
            output.drain(self.origin() or self._before())
        self.flushed = self.loop.now()
        objects = brain.client.objects
        if brain.done or output.pending() or objects.added or objects.dropped:
            self.loop.locked(lambda: [*output.take(), *brain.flush()])

    # -- one item ----------------------------------------------------------------------

    def _run_item(self, item: Item, now: float) -> None:
        """Run a task or call in this thread and note its answer."""
        key = (item.caller, item.seq)
        token = running.set(item)
        cell = item.spec.cell
        if session.cell.get() != cell:
            self.output.drain(self._before())
            session.cell.set(cell)
        # From here on what the loop thread finds written is this item's.
        self.brain.begin(item, now)
        self._latest = item
        started = self.loop.now()
        try:
            try:
                self._bracket = key
                if key in self.brain.cancelled:
                    raise KeyboardInterrupt("cancelled")
                result = self._call(item)
                self._bracket = None
                done = self.answer(item, result, started)
            finally:
                self._bracket = None
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its answer
            done = self.failure(item, error, started)
            self.note(item, error, started, done)
        else:
            self._past((item.spec, *key, started, done.micros, None))
        if self.output.at_end is not None and self.actor is None:
            self._show_open()
        running.reset(token)
        if key in self.brain.cancelled:
            self.brain.cancelled.discard(key)
        self.brain.done.append(done)

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
            sys.stderr.write(traceback.format_exc())

    def _call(self, item: Item) -> Any:
        spec = item.spec
        if item.gpus != self._gpus and (item.gpus or self._gpus):
            self._gpus = item.gpus
            self.devices.show(item.gpus, os.environ)
        try:
            name = spec.method or spec.name
            function = self.function(spec.function) if spec.function else self.method(name)
            if item.extra is None:
                args, kwargs = unpack(item.args, self.memory.restore) if item.args else ((), {})
            else:
                args, kwargs = self.arguments(item.args, item.extra.args, item.extra.args_ref,
                                              item.extra.deps)  # fmt: skip
        except Exception as error:
            self._not_loaded(error, self._task_name(item))
            raise
        return function(*args, **kwargs)

    def _not_loaded(self, error: Exception, name: str) -> None:
        """A definition or its arguments could not be loaded here: say so in the error."""
        if isinstance(error, RayError) or told_of(error) is not None:
            return  # of a task whose result was an argument
        where = f"on {self._node_name}"
        if isinstance(error, ImportError):
            note = f"({name} needs it {where}: install it there)"
        else:
            note = f"(while {name} and its arguments were loaded {where})"
        on_behalf(error).__dict__["__notes__"] = [*getattr(error, "__notes__", ()), note]

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
        filled = list(positional)
        for where, value, key in deps:
            if isinstance(where, int):
                filled[where] = memory.value(value, key)
            else:
                kwargs[where] = memory.value(value, key)
        return filled, kwargs

    def function(self, digest: bytes) -> Callable[..., Any]:
        """The loaded function or class of this hash."""
        function = self._functions.get(digest) or self._used(digest)
        if function is None:
            known = self.brain.functions
            filename, source, blob, modules, *inside = pickle.loads(known[digest])
            if modules != self._imports.digest:
                # Functions that use another version's modules are loaded anew when called.
                self._functions.clear()
                self._imports.use(Packed(modules, inside[0] if inside else known[modules]))
            if source and filename:
                lines = source.splitlines(keepends=True)
                linecache.cache[filename] = (len(source), None, lines, filename)
            function = unpack(blob, self.memory.restore)
            if isinstance(function, ObjectRef):  # a large one, in the store
                function = self.memory.fetched(function)
                self._large[digest] = (function, self.loop.now())
            else:
                self._functions[digest] = function
        return function

    def _used(self, digest: bytes) -> Callable[..., Any] | None:
        """A large function that is loaded, marked as used now."""
        found = self._large.get(digest)
        if found is None:
            return None
        self._large[digest] = (found[0], self.loop.now())
        return found[0]

    def let_go(self, now: float) -> None:
        """Unload large functions that are not used: what they took along lies in the store.

        What was unloaded because its definition went is collected, too.

        In the loop thread; a function that runs is held by its call.
        """
        idle = [digest for digest, (_, used) in list(self._large.items())
                if now - used > LARGE_SECONDS]  # fmt: skip
        for digest in idle:
            self._large.pop(digest, None)
        if idle or (self._litter and now - self._collected > COLLECT_SECONDS):
            self._litter = False
            self._collected = now
            gc.collect()  # a function and its globals hold each other

    def _undefine(self) -> None:
        """Unload functions whose last definition went; what they took along is let go."""
        gone: list[bytes] = []
        self.loop.locked(lambda: gone.extend(self.brain.let_go()))
        for digest in gone:
            self._functions.pop(digest, None)
            self._large.pop(digest, None)
        self._litter = self._litter or bool(gone)

    def method(self, name: str) -> Callable[..., Any]:
        """A method of the actor."""
        method: Callable[..., Any] = method_of(self.instance, name)
        return method

    # -- answers -------------------------------------------------------------------------

    def answer(self, item: Item, result: Any, started: float) -> Done:
        """The answer for a result. Raises what packing raises."""
        spec = item.spec
        micros = self._micros(started)
        kind = type(result)
        if spec.num_returns == 1 and (
            kind in NUMBERS or (kind in TEXTS and len(result) <= SHORT)
        ):
            data = NONE if result is None else _dumps(result, 5)
            third = () if item.extra is None else self._third(item)
            return Done(item.caller, item.seq, spec.id, data, None, micros, third, ())
        name = self._task_name(item)
        if spec.num_returns == 1:
            value, data = self._value(item, result, f"the result of {name}")
            if value is None:
                third = self._third(item)
                return Done(item.caller, item.seq, spec.id, data, None, micros, third, ())
            values = [value]
        elif spec.num_returns == 0:
            if kind is GeneratorType:
                deque(result, maxlen=0)  # its body has not run yet
            values = [Value(NONE)]
        else:
            values = self._values(item, self._parts(result, spec.num_returns, name), name)
        refs = tuple(ref for value in values for ref in value.refs)
        self.brain.client.objects.hold(refs)
        outcome = Outcome(item.seq, values)
        return Done(item.caller, item.seq, spec.id, b"", outcome, micros, self._third(item), refs)

    def _micros(self, started: float) -> int:
        """Microseconds of the user's code since *started*, without the moving of data."""
        return self.brain.own_time(int((self.loop.now() - started) * 1e6))

    @staticmethod
    def _parts(result: Any, wanted: int, name: str) -> list[Any]:
        """The values of a task with several returns."""
        try:
            values = iter(result)
        except TypeError:
            kind = type(result).__name__
            text = f"{name} has num_returns={wanted} but returned one {kind}, not {wanted} values"
            raise on_behalf(ValueError(text)) from None
        parts = list(values)
        if len(parts) != wanted:
            text = f"{name} has num_returns={wanted} but returned {len(parts)} values"
            raise on_behalf(ValueError(text))
        return parts

    def _values(self, item: Item, parts: list[Any], name: str) -> list[Value]:
        """All of *parts* packed; if one cannot be, what was stored of the others is freed."""
        values: list[Value] = []
        room = MOST_RETURNED
        try:
            for index, part in enumerate(parts):
                most = INLINE_LIMIT if room > 0 else TINY
                value, data = self._value(item, part, f"result {index + 1} of {name}", most)
                values.append(value if value is not None else Value(data))
                room -= len(values[-1].data)
        except BaseException:
            slots = [slot for value in values for slot in value.slots]  # nobody hears of them
            self.loop.locked(lambda: self.brain.client.objects.free_slots(slots))
            raise
        return values

    def _value(
        self, item: Item, result: Any, what: str, most: int = INLINE_LIMIT
    ) -> tuple[Value | None, bytes]:
        packed = pack(result, what)
        if packed.size > most:
            slot = self.memory.store(packed, item.caller, what)
            return Value(b"", [slot], list(packed.refs)), b""
        if packed.refs:
            return Value(packed.join(), [], list(packed.refs)), b""
        return None, packed.join()

    def failure(self, item: Item, error: BaseException, started: float) -> Done:
        """The answer for an exception."""
        spec = item.spec
        micros = self._micros(started)
        name = self._task_name(item)
        cancelled = (item.caller, item.seq) in self.brain.cancelled and isinstance(
            error, (KeyboardInterrupt, TaskCancelledError)
        )
        if cancelled:
            error = TaskCancelledError(f"{name} was cancelled")
        retry = False
        if isinstance(error, SystemExit):
            self._exit(error)
        if spec.retry_on and not cancelled:
            retry = self._names(spec.retry_on, error)
        data = pack_error(error, name, self._node_name, self._pid)
        outcome = Outcome(item.seq, [Value(data, failed=True)], True, retry, cancelled)
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

    def _exit(self, error: SystemExit) -> NoReturn:
        """User code ends the process, as in Ray: its answer is that the worker has died."""
        self.flush()
        if isinstance(error.code, str):
            self.output.add("stderr", error.code + "\n")
        self.loop.locked(self.output.take)
        self.loop.close(linger=0.5)
        os._exit(error.code if isinstance(error.code, int) else 1 if error.code else 0)

    def _names(self, retry_on: bytes, error: BaseException) -> bool:
        if retry_on == b"*":
            return isinstance(error, Exception) and not isinstance(error, ObjectStoreFullError)
        kinds = self._retry_on.get(retry_on)
        if kinds is None:
            with contextlib.suppress(Exception):
                kinds = tuple(unpack(retry_on, self.memory.restore))
            kinds = self._retry_on[retry_on] = kinds or ()
        return isinstance(error, kinds)

    def _third(self, item: Item) -> tuple[Ref, ...]:
        """References among the arguments that belong to neither caller nor worker."""
        extra = item.extra
        if extra is None:
            return ()
        refs = list(extra.args.refs) if extra.args is not None else []
        refs += [ref for _, value, key in extra.deps for ref in (key, *value.refs)]
        refs += extra.captured
        mine = (item.caller, self.brain.me)
        return tuple(ref for ref in refs if ref[0] not in mine)

    # -- actors ------------------------------------------------------------------------------

    def _become(self, message: BecomeActor) -> None:
        """Load the class and run `__init__`."""
        spec = message.spec
        token = running.set(None)
        session.cell.set(spec.cell)
        error_data = b""
        self.actor = message
        if message.gpus:
            self.devices.show(message.gpus, os.environ)
        self._becomes()
        item = Item(spec.owner, _constructor_spec(spec), -1, b"", None, message.gpus, 1e9)
        running.set(item)
        self._latest = item
        try:
            try:
                cls = self.function(spec.function)
                args, kwargs = self.arguments(b"", spec.args, spec.args_ref, spec.deps)
            except Exception as error:
                self._not_loaded(error, f"{spec.class_name}.__init__")
                raise
            self.instance, self.runner = made(cls, args, kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever __init__ raises is the answer
            name = f"{spec.class_name}.__init__"
            error_data = pack_error(error, name, self._node_name, self._pid)
        running.set(None)
        running.reset(token)
        up = ActorUp(
            self.brain.me, spec.owner, spec.actor, message.incarnation, self.brain.me, error_data
        )
        node = self.memory.node
        self.loop.locked(lambda: [*self.output.take(), *self.brain.flush(), Send(node, up)])

    def _concurrent(self) -> bool:
        """Serve an async or threaded actor until its end, if this is one."""
        assert self.actor is not None
        if self.instance is None:
            return False
        if is_async(type(self.instance)):
            from nbray.runtime.shell.worker.concurrent import serve_async

            serve_async(self, self.actor.spec.max_concurrency or 1000)
            return True
        if self.actor.spec.max_concurrency > 1:
            from nbray.runtime.shell.worker.concurrent import serve_threads

            serve_threads(self, self.actor.spec.max_concurrency)
            return True
        return False

    def watch_news(self, news: Callable[[], None] | None) -> None:
        """Have *news* called when calls or cancellations arrive."""
        self._news = news

    def arrived(self) -> None:
        """Calls may have arrived (called by the loop after each message for the executor)."""
        if self._news is not None:
            self._news()


def importing(frame: FrameType | None) -> bool:
    """Whether *frame* runs within an import."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _constructor_spec(spec: Any) -> Any:
    return Spec(
        id=0, function=b"", name="__init__", num_returns=1, retry_on=b"", cell=spec.cell,
        job=spec.job, depth=1, resources=spec.resources, namespace=spec.namespace,
    )  # fmt: skip


__all__ = ["Executor", "RayError", "running", "sys", "unpack_error"]
