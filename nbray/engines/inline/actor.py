"""Actors of the inline engine: an instance, a queue of calls, perhaps an event loop.

Owns an actor's life and the order of its calls. Rule: one thread at a time
empties the queue; a call that arrives while it is emptied (also from within
the actor itself) waits its turn and does not block its caller.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from nbray.engine import ActorInfo, method_of
from nbray.engines.inline.running import Call, Runner, Upstream, may_retry
from nbray.exceptions import ActorDiedError, RayError, RuntimeEnvSetupError, TaskCancelledError
from nbray.options import ActorOptions
from nbray.refs import ObjectRef
from nbray.wire.failures import UNMADE
from nbray.wire.pickling import pack_error, unpack_error

ASYNC_CONCURRENCY = 1000
"""Calls of an async actor that run at once unless it says otherwise, as in Ray."""


class Actor:
    """One actor.

    Attributes:
        death: why it is dead; None while it lives.
        life: its own life reference, if it is detached and so keeps itself alive.
        held: resources, in ten-thousandths.
        emptying: the thread that runs its calls.
    """

    def __init__(
        self,
        runner: Runner,
        cls: Callable[..., Any],
        info: ActorInfo,
        options: ActorOptions,
        birth: Call,
    ) -> None:
        self.info = info
        self.options = options
        self.birth = birth
        self.death: RayError | None = None
        self.life: ObjectRef[Any] | None = None
        self.restarts = 0
        self.held: dict[str, int] = {}
        self.environment = ""
        """That in which it lives (`nbray.runtime_env`)."""
        self.emptying = 0
        self.cls = cls
        self._runner = runner
        self._instance: Any = None
        self._queue: deque[tuple[Call, ObjectRef[Any] | None]] = deque()
        self._lock = threading.RLock()  # references may die inside it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate: asyncio.Semaphore | None = None
        self._pending: dict[Call, ObjectRef[Any] | None] = {}
        self._streams: list[tuple[Call, ObjectRef[Any] | None]] = []
        """Calls that yield and have not ended, each with the life that it holds."""

    # -- life

    def start(self) -> None:
        """Make the instance; an error in it is the actor's death."""
        if self.info.is_async and self._loop is None:
            self._start_loop()
        try:
            args, kwargs = self._runner.arguments(self.birth)
            with self._runner.inside(self.birth, self.restarts):
                self._instance = self._on_loop(lambda: self._make(args, kwargs))
        except Upstream as upstream:
            cause = unpack_error(upstream.error)
            self._born_dead(f"an argument of its __init__ failed\n{cause}")
        except SystemExit as error:
            self._born_dead(f"its __init__ ended the process: {error!r}")
        except RuntimeEnvSetupError as error:
            self.end(error)
        except Exception as error:  # noqa: BLE001 - users' code raises what it likes
            packed = pack_error(error, f"{self.info.class_name}.__init__", "", 0)
            self._born_dead(f"its __init__ raised ({UNMADE})\n{unpack_error(packed)}")

    def _make(self, args: Any, kwargs: Any) -> Any:
        """The instance, or a coroutine that makes it where `__init__` is one."""
        cls: Any = self.cls
        if not inspect.iscoroutinefunction(inspect.unwrap(cls.__init__)):
            return cls(*args, **kwargs)

        async def make() -> Any:
            plain = cls.__new__ is object.__new__
            made = cls.__new__(cls) if plain else cls.__new__(cls, *args, **kwargs)
            await made.__init__(*args, **kwargs)
            return made

        return make()

    def _born_dead(self, why: str) -> None:
        self.end(ActorDiedError(f"the actor {self.info.class_name} died: {why}"))

    def end(self, death: RayError) -> None:
        """End the actor: what waits or awaits fails with *death*."""
        with self._lock:
            if self.death is not None:
                return
            self.death = death
            waiting = [call for call, _ in self._queue]
            self._queue.clear()
            self._instance = None
            self.life = None
        for call in waiting:
            self._runner.fail(call, death)
        streams, self._streams = self._streams, []
        for call, _ in streams:
            call.stream.cut(death)
        self._stop_pending()
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def restart(self) -> None:
        """What `kill(no_restart=False)` does to an actor with restarts left."""
        self.restarts += 1
        self._stop_pending()
        self.start()

    def _stop_pending(self) -> None:
        for call in list(self._pending):
            self._runner.fail(
                call, self.death or ActorDiedError("the actor was killed while it ran the call")
            )
            if call.task is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(call.task.cancel)
        self._pending.clear()

    # -- calls

    @property
    def waiting(self) -> int:
        """Calls that have not ended."""
        return len(self._queue) + len(self._pending)

    def add(self, call: Call, life: ObjectRef[Any] | None) -> None:
        """Put a call at the end of the queue. It holds the actor's life until it has ended."""
        with self._lock:
            if self.death is None:
                self._queue.append((call, life))
                return
        self._runner.fail(call, self.death)

    def empty(self) -> None:
        """Run what is queued, unless a thread does so already."""
        while True:
            with self._lock:
                if self.emptying or not self._queue:
                    return
                self.emptying = threading.get_ident()
            try:
                while self._queue:
                    self._run(*self._queue.popleft())
            finally:
                self.emptying = 0

    def _run(self, call: Call, life: ObjectRef[Any] | None) -> None:
        if self._loop is not None:
            self._pending[call] = life
            loop, context = self._loop, contextvars.copy_context()
            loop.call_soon_threadsafe(self._launch, call, context)
            return
        if self.death is not None:
            self._runner.fail(call, self.death)
            return
        self._finish_streams()
        if call.stream is not None:
            call.stream.start(method_of(self._instance, call.method))
            self._streams.append((call, life))
            return
        try:
            self._runner.run(call, method_of(self._instance, call.method))
        except SystemExit as error:
            self.exits(call, error)

    def _finish_streams(self) -> None:
        """Calls run one at a time: what yields ends first, unless it waits for its reader."""
        while self._streams:
            call, _ = self._streams.pop(0)
            if not call.stream.most:
                call.stream.run_out()

    def exits(self, call: Call, error: SystemExit) -> None:
        """*call* has ended its process, and so the actor."""
        name = self.info.class_name
        self.end(ActorDiedError(f"the actor {name} ended its process: {error!r}"))
        if self.death is not None:
            self._runner.fail(call, self.death)

    # -- the event loop of an actor with `async def` methods

    def _start_loop(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._gate = asyncio.Semaphore(self.options.max_concurrency or ASYNC_CONCURRENCY)
        threading.Thread(
            target=_serve, args=(self._loop,), name=f"nbray-{self.info.class_name}", daemon=True
        ).start()

    def _on_loop(self, make: Callable[[], Any]) -> Any:
        if self._loop is None:
            return make()

        async def inside() -> Any:
            made = make()
            return await made if inspect.iscoroutine(made) else made

        context = contextvars.copy_context()
        future: Any = asyncio.run_coroutine_threadsafe(_in_context(context, inside), self._loop)
        return future.result()

    def _launch(self, call: Call, context: contextvars.Context) -> None:
        # On the loop's thread: methods begin in the order in which they were called.
        if call in self._pending and self._loop is not None:
            call.task = self._loop.create_task(self._run_async(call), context=context)

    async def _run_async(self, call: Call) -> None:
        gate = self._gate
        assert gate is not None
        try:
            async with gate:
                await self._attempts(call)
        except asyncio.CancelledError as cut:
            error = TaskCancelledError(f"{call.name} was cancelled")
            self._runner.fail(call, error.with_traceback(cut.__traceback__))
        finally:
            self._pending.pop(call, None)

    async def _attempts(self, call: Call) -> None:
        attempt = 0
        while True:
            try:
                args, kwargs = self._runner.arguments(call)
                with self._runner.inside(call, attempt):
                    result = method_of(self._instance, call.method)(*args, **kwargs)
                    if inspect.isawaitable(result):
                        result = await result
                    if call.stream is not None:
                        result = await call.stream.feed(result)
                    elif call.gathers:
                        result = self._runner.gathered(call, result, attempt)
                if call in self._pending:
                    self._runner.succeed(call, result)
                return
            except Upstream as upstream:
                self._runner.fail(call, upstream.error)
                return
            except SystemExit as error:
                self._pending.pop(call, None)
                self.exits(call, error)
                return
            except Exception as error:  # noqa: BLE001 - users' code raises what it likes
                if call not in self._pending:
                    return
                if call.stream is not None:
                    if not call.stream.fail(error, attempt):
                        return
                elif not may_retry(call, error, attempt):
                    self._runner.fail(call, error)
                    return
                attempt += 1

    def awaiting(self, cell: str) -> list[Call]:
        """Unfinished calls that *cell* made."""
        return [call for call in list(self._pending) if call.cell == cell]

    def cancel(self, call: Call) -> None:
        """Cancel an awaiting call; others have ended, or cannot be stopped in their thread."""
        if call.task is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(call.task.cancel)


async def _in_context(context: contextvars.Context, make: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().create_task(make(), context=context)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        # Cancelled calls still run their `finally` blocks.
        rest = asyncio.all_tasks(loop)
        for task in rest:
            task.cancel()
        if rest:
            loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
    finally:
        loop.close()
