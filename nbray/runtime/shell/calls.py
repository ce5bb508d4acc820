"""From a user's call to a task: specs, packed functions, packed arguments.

Owns what a client derives from `Function`s and options, once each. Does not
own what becomes of a task (`core.tasks`).
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from nbray import session
from nbray.config import INLINE_LIMIT, LARGE_FUNCTION
from nbray.engine import Function
from nbray.exceptions import ObjectStoreFullError
from nbray.options import ActorOptions, MethodOptions, TaskOptions, demand
from nbray.runtime.core.client import ClientBrain
from nbray.runtime.core.objects import STORED, Entry
from nbray.runtime.core.tally import Tally
from nbray.runtime.core.work import Task, Work
from nbray.runtime.shell.imports import Imports
from nbray.runtime.shell.memory import Memory
from nbray.runtime.shell.modules import Modules, Packed
from nbray.wire.digest import digest as name_of
from nbray.wire.messages import Extra, Ref, Spec, Value
from nbray.wire.pickling import digest_of, pack, pack_call, pack_definition

Origin = tuple[int, int, str]
"""(job, depth, namespace) of work submitted here and now."""

MULTI = 1 << 48
"""Tasks with several returns number them from here, in blocks of `MOST_RETURNS`."""
MOST_RETURNS = 1 << 16


class Calls:
    """Makes tasks for one client."""

    def __init__(
        self,
        brain: ClientBrain,
        memory: Memory,
        origin: Callable[[], Origin],
        modules: Modules | Imports,
    ) -> None:
        self._brain = brain
        self._memory = memory
        self._origin = origin
        self._modules = modules
        self._specs = itertools.count(1)
        self._blocks = itertools.count(0)
        self._methods: dict[tuple[Any, ...], Work] = {}
        self.pending_limits: dict[Ref, int] = {}
        """`max_pending_calls` of actors that this client made."""

    # -- specs ------------------------------------------------------------------

    def work(self, function: Function, options: TaskOptions) -> Work:
        """The spec of this function with these options in this cell; made once."""
        cell = session.cell.get()
        origin = self._origin()
        last = function.cache.get("last")
        if last is not None and last[0] is options and last[1] == cell and last[2] == origin:
            found: Work = last[3]
            if found.tally is self._brain.tallies.get(cell) and last[4] is self:
                return found
        key = (self, cell, origin, _key(options))
        works: dict[Any, Work] = function.cache.setdefault("works", {})
        work = works.get(key)
        if work is None or (
            options.counted and work.tally is not self._brain.tallies.get(cell)
        ):
            if len(works) > 64:
                works.clear()
            work = works[key] = self._new_work(function, options, cell, origin)
        function.cache["last"] = (options, cell, origin, work, self)
        return work

    def _new_work(
        self, function: Function, options: TaskOptions, cell: str, origin: Origin
    ) -> Work:
        digest, blob, modules = self.blob(function)
        resources = demand(options)
        job, depth, namespace = origin
        spec = Spec(
            next(self._specs),
            digest,
            options.name or function.name,
            options.num_returns,
            _retry_on(options.retry_exceptions),
            cell,
            job,
            depth,
            resources,
            namespace,
        )
        pool = self._brain.tasks.pool(resources, depth, options.node)
        now = time.monotonic()
        tally = self._brain.tally(cell, now)
        tally.job = job
        if not options.counted:  # nobody looks at their counts, but their time is the cell's
            tally = Tally(cell, now, into=tally)
        work = Work(spec, options.max_retries, pool, tally, blob)
        work.modules = (modules.digest, modules.data)
        return work

    def blob(self, function: Function) -> tuple[bytes, bytes, Packed]:
        """(hash, pickled form, modules) of a function or class, with its source for tracebacks.

        With modules that have changed since, it is another one.

        Raises:
            TypeError: it captures something that cannot be pickled.
        """
        modules = self._modules.packed(session.cell.get())
        made = function.cache.get("blob")
        if made is None or made[2] is not modules:
            target = self._modules.target(function)
            inner = function.cache.get("pickled")
            if inner is None or inner[0] is not target:
                inner = function.cache["pickled"] = (target, *self._pickled(function, target))
            _, digest, filename, blob = inner
            digest = name_of(digest + modules.digest)
            source = function.source if target is function.call else ""
            made = (digest, pickle.dumps((filename, source, blob, modules.digest), 5), modules)
            function.cache["blob"] = made
        result: tuple[bytes, bytes, Packed] = made
        return result

    def portable(self, function: Function) -> tuple[bytes, bytes]:
        """(hash, pickled form) of a class, with its modules inside: for what outlives its maker."""
        digest, blob, modules = self.blob(function)
        return digest, pickle.dumps((*pickle.loads(blob), modules.data), 5)

    def _pickled(self, function: Function, target: Any) -> tuple[bytes, str, bytes]:
        """(hash, file name, bytes) of *target*, which stands for *function*."""
        packed = pack_definition(target, function.name)
        digest = digest_of(packed)
        if packed.size > LARGE_FUNCTION and not isinstance(target, type):
            with contextlib.suppress(ObjectStoreFullError):  # it travels in messages, then
                # A reference stands for it: each node fetches it once, each worker looks at it.
                packed = pack(self._memory.put(packed, f"the function {function.name}"))
        blob, refs = packed.join(), packed.refs
        if refs:
            objects = self._brain.objects
            objects.hold(refs)
            weakref.finalize(function, objects.drop, refs).atexit = False
        code = getattr(function.call, "__code__", None)
        filename = getattr(code, "co_filename", "")
        if not filename and function.source:
            filename = _class_file(function.call)
        return digest, filename, blob

    def method(
        self, class_name: str, name: str, options: MethodOptions, retries: int
    ) -> Work:
        """The spec of an actor's method in this cell; made once."""
        cell = session.cell.get()
        origin = self._origin()
        key = (class_name, name, cell, origin, options.num_returns, options.name, retries,
               options.retry_exceptions)  # fmt: skip
        work = self._methods.get(key)
        tally = self._brain.tallies.get(cell)
        if work is None or work.tally is not tally:
            if len(self._methods) > 1000:
                self._methods.clear()
            spec = Spec(
                next(self._specs), b"", name, options.num_returns,
                _retry_on(options.retry_exceptions), cell, origin[0], origin[1], {}, origin[2],
            )  # fmt: skip
            tally = tally or self._brain.tally(cell, time.monotonic())
            tally.job = origin[0]
            work = self._methods[key] = Work(spec, retries, None, tally, b"")
        return work

    # -- tasks ----------------------------------------------------------------------

    def task(
        self, work: Work, args: Sequence[Any], kwargs: dict[str, Any], returns: int
    ) -> tuple[Task, int]:
        """A task with entries for its returns: (task, its first number).

        Raises:
            TypeError: an argument cannot be pickled; names it.
            ObjectStoreFullError: the arguments do not fit in the store.
        """
        brain = self._brain
        if returns > 1:
            if returns > MOST_RETURNS:
                raise ValueError(f"num_returns must be at most {MOST_RETURNS}, not {returns}")
            seq = MULTI + next(self._blocks) * MOST_RETURNS
        else:
            seq = next(brain.sequence)
        if args or kwargs:
            task = self._with_arguments(seq, work, args, kwargs, returns)
        else:
            task = Task(seq, work, b"", returns)
        owned, me = brain.objects.owned, brain.me
        for number in range(seq, seq + max(1, returns)):
            entry = Entry((me, number), 1 if returns else 0)
            entry.maker = task
            owned[number] = entry
        return task, seq

    def _with_arguments(
        self, seq: int, work: Work, args: Sequence[Any], kwargs: dict[str, Any], returns: int
    ) -> Task:
        packed, deps = pack_call(args, kwargs, work.spec.name)
        pins: tuple[Ref, ...] = packed.refs
        if packed.size > INLINE_LIMIT:
            slot = self._memory.store(
                packed, self._brain.me, f"the arguments of {work.spec.name}"
            )
            key = (self._brain.me, next(self._brain.sequence))
            value = Value(b"", [slot], list(packed.refs))
            entry = Entry(key, 0, STORED, value)
            entry.local = slot
            self._brain.objects.owned[key[1]] = entry
            task = Task(seq, work, b"", returns)
            task.extra = Extra(value, key)
            pins = (*pins, key)
        elif packed.refs:
            task = Task(seq, work, b"", returns)
            task.extra = Extra(Value(packed.join(), [], list(packed.refs)))
        else:
            task = Task(seq, work, packed.join(), returns)
        if deps:
            task.deps = [(where, (ref.owner, ref.seq)) for where, ref in deps]
            pins = (*pins, *(key for _, key in task.deps))
        task.pins = pins
        return task


def _key(options: TaskOptions) -> tuple[Any, ...]:
    return (
        options.num_cpus, options.num_gpus, options.memory,
        tuple(sorted(options.resources.items())), options.num_returns, options.max_retries,
        options.retry_exceptions, options.name, options.node, options.counted,
    )  # fmt: skip


def _retry_on(which: bool | tuple[type[BaseException], ...]) -> bytes:
    if which is True:
        return b"*"
    return pack(which, "retry_exceptions").join() if which else b""


def _class_file(cls: Any) -> str:
    for base in getattr(cls, "__mro__", ()):
        for member in vars(base).values():
            code = getattr(member, "__code__", None)
            if code is not None and not code.co_filename.endswith("nbray/actor.py"):
                return str(code.co_filename)
    return ""


def placement(options: ActorOptions) -> tuple[dict[str, int], dict[str, int]]:
    """(held for life, needed when placed): an actor without num_cpus needs a CPU to be placed."""
    held = demand(options)
    placed = dict(held)
    if options.num_cpus is None:
        placed["CPU"] = 10_000
    return held, placed
