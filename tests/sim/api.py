"""nbray's API for simulated programs: the real engine of their process, and what they need.

Owns the names by which programs are called. Does not own the engine (`nbray`), nor
what it stands on (`loops`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sim import ownership_tasks, programs
from sim.threads import thread
from sim.values import Big, Handle

from nbray.engine import ActorInfo, Function
from nbray.generators import ObjectRefGenerator
from nbray.options import STREAMING, ActorOptions, MethodOptions, TaskOptions
from nbray.refs import ObjectRef
from nbray.runtime.shell.client.engine import NativeEngine
from nbray.where import Where
from nbray.wire import messages as m

if TYPE_CHECKING:
    from sim.clients import ClientProcess

class Api:
    """What a program in one client can do."""

    engine: NativeEngine
    """Made when the client is registered."""

    def __init__(self, process: ClientProcess) -> None:
        self.process = process
        self.brain = process.brain
        self.world = process.world
        self._functions: dict[str, Function] = {}

    def begin(self, engine: NativeEngine) -> None:
        """The client is registered."""
        self.engine = engine

    @property
    def viewed(self) -> dict[m.Slot, int]:
        """Local slots that are viewed, and how often."""
        return self.engine.memory._viewed if hasattr(self, "engine") else {}

    def check_views(self) -> None:
        """Fail if anything that is viewed here was freed."""
        for slot in self.viewed:
            moved = self.engine.memory.moved
            place = moved.known(slot)
            if place is slot and moved.pins and slot.generation not in moved.pins.held:
                continue  # it has moved, and is being sought
            self.process.views.check(place)

    def _function(self, name: str) -> Function:
        found = self._functions.get(name)
        if found is None:
            module, _, attribute = name.rpartition(":")
            made = getattr(ownership_tasks if module else programs, attribute)
            found = self._functions[name] = Function(made, name)
        return found

    def say(self, text: str) -> None:
        """Print in a worker."""
        self.process.executor.output.add("stdout", text)

    # -- tasks -----------------------------------------------------------------------------

    def submit(
        self, name: str, *args: Any, options: dict[str, Any] | None = None, size: int = 0,
        **kwargs: Any,
    ) -> list[ObjectRef[Any]]:  # fmt: skip
        """Start a task; a list of its references. *size* makes its arguments large."""
        wanted = TaskOptions(**{"max_retries": 0, **(options or {})})
        if size:
            kwargs["filler"] = Big("filler", size)
        refs = self.engine.submit(self._function(name), args, kwargs, wanted)
        return self._charged(refs, wanted.max_retries)

    def stream(
        self, name: str, *args: Any, most: int = 0, handle: Handle | None = None,
        options: dict[str, Any] | None = None,
    ) -> ObjectRefGenerator[Any]:  # fmt: skip
        """Start a task, or call a method, that yields; it pauses with *most* unread (0: never)."""
        wanted = {"max_retries": 0, **(options or {})}
        wanted.update(most_unread=most, num_returns=STREAMING)
        if handle is None:
            given = TaskOptions(**wanted)
            (found,) = self.engine.submit(self._function(name), args, {}, given)
        else:
            call = MethodOptions(num_returns=STREAMING, max_task_retries=0, most_unread=most)
            info, life = handle.info, handle.life
            (found,) = self.engine.actors.call(info, life, name, args, {}, call)
        stream: Any = found
        self._charged([stream._generator_ref], wanted["max_retries"] if handle is None else 0)
        return cast("ObjectRefGenerator[Any]", stream)

    def _charged(self, refs: list[ObjectRef[Any]], retries: int) -> list[ObjectRef[Any]]:
        self.world.charged[self.brain.me, refs[0].seq] = retries
        return refs

    def cancel(self, ref: ObjectRef[Any], force: bool = False) -> None:
        """Cancel a task or call; a call never with force."""
        self.engine.cancel(ref, force and not self.engine._is_actor_call(ref), False)

    # -- objects --------------------------------------------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        """Store a value."""
        return self.engine.put(value)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None = None) -> list[Any]:
        """The values of *refs*."""
        try:
            return self.engine.get(refs, timeout)
        finally:
            self.process.check_cpus()

    def future(self, ref: ObjectRef[Any]) -> Any:
        """The value of *ref*, by its future."""
        future = ref.future()
        while not future.done():
            thread().block(None, future.done)
        return future.result(0)

    def wait(
        self, refs: Sequence[ObjectRef[Any]], count: int, timeout: float | None
    ) -> list[ObjectRef[Any]]:
        """Which of *refs* are ready, after waiting for *count* of them."""
        try:
            ready, rest = self.engine.wait(refs, count, timeout, True)
        finally:
            self.process.check_cpus()
        assert len(ready) <= count
        assert {*ready, *rest} == set(refs)
        return ready

    # -- actors -------------------------------------------------------------------------------

    def actor(
        self, cls: str, *args: Any, name: str = "", restarts: int = 0, detached: bool = False,
        get_if_exists: bool = False, cpus: float = 0, node: int = 0, task_retries: int = 0,
        where: Where | None = None,
    ) -> Handle:  # fmt: skip
        """Create an actor."""
        info = ActorInfo(
            class_name=cls, methods={}, max_task_retries=task_retries, actor=0, owner=0
        )
        options = ActorOptions(
            num_cpus=cpus or None, name=name, get_if_exists=get_if_exists,
            lifetime="detached" if detached else "", max_restarts=restarts, node=node, where=where,
        )  # fmt: skip
        return Handle(*self.engine.actors.create(self._function(cls), args, {}, options, info))

    def call(
        self, handle: Handle, method: str, *args: Any, retries: int = 0, returns: int = 1,
        **kwargs: Any,
    ) -> list[ObjectRef[Any]]:  # fmt: skip
        """Call a method."""
        options = MethodOptions(num_returns=returns, max_task_retries=retries)
        refs = self.engine.actors.call(handle.info, handle.life, method, args, kwargs, options)
        return self._charged(refs, retries)

    def get_actor(self, name: str) -> Handle:
        """A named actor."""
        return Handle(*self.engine.actors.named(name, ""))

    def kill(self, handle: Handle, no_restart: bool = True) -> None:
        """End an actor."""
        self.engine.actors.kill(handle.info, no_restart)
