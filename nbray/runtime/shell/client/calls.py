"""From a user's call to a task: specs, packed functions, packed arguments.

Owns what a client derives from `Function`s and options, once each. Does not
own what becomes of a task (`core.client.tasks`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

from nbray import session
from nbray.config import INLINE_LIMIT, MOST_LABEL
from nbray.engine import Function
from nbray.hosting.imports import Imports
from nbray.hosting.modules import Modules
from nbray.options import ActorOptions, MethodOptions, TaskOptions, demand, spec_key
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.objects.objects import MOST_RETURNS
from nbray.runtime.core.client.streams import StreamTask
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.placement import in_group
from nbray.runtime.core.worker.brain import Item
from nbray.runtime.shell.client.defined import Definitions
from nbray.runtime.shell.client.environments import Environments
from nbray.runtime.shell.client.memory import Memory
from nbray.where import APART, Where
from nbray.wire.messages import Extra, Ref, Spec, Value
from nbray.wire.pickling import pack, pack_call
from nbray.wire.shorten import label
from nbray.wire.watched import same

Origin = tuple[int, int, str, str, bool]
"""(job, depth, namespace, placement group, whether what no node can do fails) of work submitted
here and now."""



class Calls:
    """Makes tasks for one client."""

    def __init__(
        self,
        brain: ClientBrain,
        memory: Memory,
        origin: Callable[[], Origin],
        modules: Modules | Imports,
        running: Callable[[], Item | None] | None = None,
        now: Callable[[], float] = time.monotonic,
        environments: Environments | None = None,
    ) -> None:
        self._since = object()
        """Stands for this client, and for what names mean here; another one when that changes."""
        self._running = running
        """What runs here and submits; None in a driver."""
        self._now = now
        self._brain = brain
        self._memory = memory
        self._origin = origin
        self.definitions = Definitions(memory, modules, brain.tasks.known.ended.append)
        self.environments = environments or Environments()
        self._specs = itertools.count(1)
        self._numbers = brain.objects.numbers
        self._promise = brain.objects.promise
        self._methods: dict[tuple[Any, ...], Work] = {}

    # -- specs ------------------------------------------------------------------

    def work(self, function: Function, options: TaskOptions) -> Work:
        """The spec of this function with these options in this cell; made once."""
        cell = session.cell.get()
        origin = self._origin()
        last = function.cache.get("last")
        if last is not None and last[0] is options and last[1] == cell and last[2] == origin:
            found: Work = last[3]
            if (
                found.tally is self._brain.tallies.get(cell)
                and last[4] is self._since
                and (not last[5] or same(last[5]))
            ):
                return found
        key = (self._since, cell, origin, spec_key(options))
        works: dict[Any, Work] = function.cache.get("works", {})
        work = works.get(key)
        if (
            work is None
            or (options.counted and work.tally is not self._brain.tallies.get(cell))
            or not same(self.definitions.watch(function))
        ):
            work = self._new_work(function, options, cell, origin)
            works = function.cache.setdefault("works", {})  # another definition has others
            if len(works) > 64:
                works.clear()
            works[key] = work
        function.cache["last"] = (
            options, cell, origin, work, self._since, self.definitions.watch(function)
        )  # fmt: skip
        return work

    def _new_work(
        self, function: Function, options: TaskOptions, cell: str, origin: Origin
    ) -> Work:
        definition = self.definitions.of(function)
        resources = demand(options)
        job, depth, namespace, inherited, raises = origin
        where, group, captures = options.where, inherited, bool(inherited)
        if where is not None:
            group, captures = chosen_group(where, inherited)
        if group:
            bundle = where.bundle if where is not None else -1
            resources = in_group(resources, group, bundle)
            where = None
        retry_on, captured = _retry_on(options.retry_exceptions)
        env = self.environments.of(options.runtime_env)
        spec = Spec(
            id=next(self._specs),
            function=definition.digest,
            name=label(options.name or function.name, MOST_LABEL),
            num_returns=options.num_returns,
            retry_on=retry_on,
            cell=cell,
            job=job,
            depth=depth,
            resources=resources,
            namespace=namespace,
            defined=label(function.name, MOST_LABEL) if options.name else "",
            most_unread=options.most_unread,
            listed=options.listed,
            env=env,
            placed_in=group,
            captures=captures,
            raises=raises,
        )
        key = b"" if env is None else env.key
        pool = self._brain.tasks.pools.pool(
            resources, depth, options.node, where, raises, group, key, options.max_retries == 0
        )
        if group:  # once there is a pool: one for a group that has ended fails what it is given
            self._brain.submitted.append((self._brain.groups.follow, group))
        now = self._now()
        tally = self._brain.tally(cell, now)
        tally.job = job
        if not options.counted:  # nobody looks at their counts, but their time is the cell's
            tally = Tally(cell, now, into=tally)
        work = Work(spec, options.max_retries, pool, tally, definition.blob)
        work.modules = (definition.modules.digest, definition.modules.data)
        work.captured = (*definition.captured, *captured)
        work.max_calls = options.max_calls
        return work

    def modules_changed(self) -> None:
        """What was made of functions is made again, with the modules that there are now."""
        self.definitions.modules_changed()
        self._since = object()

    def method(
        self, class_name: str, name: str, options: MethodOptions, retries: int
    ) -> Work:
        """The spec of an actor's method in this cell; made once."""
        cell = session.cell.get()
        origin = self._origin()
        key = (class_name, name, cell, origin, retries, options)
        work = self._methods.get(key)
        tally = self._brain.tallies.get(cell)
        if work is None or (
            work.tally is not tally and (options.counted or work.tally.shown is not tally)
        ):
            if len(self._methods) > 1000:
                self._methods.clear()
            retry_on, captured = _retry_on(options.retry_exceptions)
            job, depth, namespace, _, raises = origin
            spec = Spec(
                id=next(self._specs), function=b"", name=options.name or name,
                num_returns=options.num_returns, retry_on=retry_on, cell=cell, job=job,
                depth=depth, resources={}, namespace=namespace,
                method=name if options.name else "", group=options.concurrency_group,
                most_unread=options.most_unread, listed=options.listed,
                raises=raises,
            )  # fmt: skip
            now = self._now()
            tally = tally or self._brain.tally(cell, now)
            tally.job = job
            if not options.counted:  # as in `_new_work`
                tally = Tally(cell, now, into=tally)
            work = self._methods[key] = Work(spec, retries, None, tally, b"")
            work.captured = captured
            work.expendable = options.expendable
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
        kind = Task
        if returns < 0:
            kind = StreamTask
            seq = next(self._brain.tasks.streams.numbers)
        elif returns > 1:
            if returns > MOST_RETURNS:
                raise ValueError(f"num_returns must be at most {MOST_RETURNS}, not {returns}")
            seq = next(self._brain.objects.blocks)
        else:
            seq = next(self._numbers)
        if args or kwargs:
            task = self._with_arguments(kind, seq, work, args, kwargs, returns)
        else:
            task = kind(seq, work, b"", returns)
        if work.captured:
            self._hold(task, work.captured)
        if self._running is not None and (item := self._running()) is not None:
            task.parent = (item.caller, item.seq)
        self._promise(task, seq, returns if returns >= 0 else 1)
        return task, seq

    def _hold(self, task: Task, captured: tuple[Ref, ...]) -> None:
        """Have *task* hold what its function takes along."""
        task.pins = (*task.pins, *captured)
        foreign = [key for key in captured if key[0] != self._brain.me]
        if foreign:
            extra = task.extra or Extra()
            task.extra = Extra(extra.args, extra.args_ref, extra.deps, extra.attempt, foreign)

    def _with_arguments(
        self, kind: type[Task], seq: int, work: Work, args: Sequence[Any], kwargs: dict[str, Any],
        returns: int,
    ) -> Task:  # fmt: skip
        packed, deps = pack_call(args, kwargs, work.spec.name)
        pins: tuple[Ref, ...] = packed.refs
        if packed.size > INLINE_LIMIT:
            slot = self._memory.store(
                packed, self._brain.me, f"the arguments of {work.spec.name}"
            )
            value = Value(b"", [slot], list(packed.refs))
            key = (self._brain.me, self._brain.objects.store(value, argument=True))
            task = kind(seq, work, b"", returns)
            task.extra = Extra(value, key)
            pins = (*pins, key)
        elif packed.refs:
            task = kind(seq, work, b"", returns)
            task.extra = Extra(Value(packed.join(), [], list(packed.refs)))
        else:
            task = kind(seq, work, packed.join(), returns)
        if deps:
            keys = []
            engine = self._memory.engine
            task.deps = []
            for where, ref in deps:
                if ref._engine is not engine and ref._engine.ended:
                    raise ref.ended()
                key = (ref.owner, ref.seq)
                task.deps.append((where, key))
                keys.append(key)
            pins = (*pins, *keys)
        task.pins = pins
        return task


def _retry_on(which: bool | tuple[type[BaseException], ...]) -> tuple[bytes, tuple[Ref, ...]]:
    """(how it travels, what it captured)."""
    if which is True:
        return b"*", ()
    if not which:
        return b"", ()
    packed = pack(which, "retry_exceptions")
    return packed.join(), packed.refs


def chosen_group(where: Where, inherited: str) -> tuple[str, bool]:
    """(the group of work, whether it captures what it launches) that *where* says."""
    group = where.group or inherited
    if group == APART or where.hard or where.wished:
        return "", False
    captures = bool(inherited) if where.captures is None else where.captures
    return group, captures and bool(group)


def placement(options: ActorOptions) -> tuple[dict[str, int], dict[str, int]]:
    """(held for life, needed when placed): an actor without num_cpus needs a CPU to be placed."""
    held = demand(options)
    placed = dict(held)
    if options.num_cpus is None:
        placed["CPU"] = 10_000
    return held, placed
