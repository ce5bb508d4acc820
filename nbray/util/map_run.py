"""The work of one map: reading ahead, chunks in flight, the order of results, cancelling.

Owns a map from its first item to its last result. Does not own the size of
chunks (`sizes`), their running (`chunk_run`), nor what users call (`mapping`).

Rules. Work is handed out and results are taken only while somebody asks for
results, so what is read ahead stays bounded. Every item is counted once, when it
is read, and once, when it ends; chunks are not counted. A chunk of several
items that fails as a whole (its worker died, a result could not be pickled) is
taken apart, and each of its items runs alone, to find the one to blame.
"""

from __future__ import annotations

import _thread
import contextlib
import functools
import itertools
import operator
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import msgspec

from nbray import session
from nbray.engine import Engine, Function
from nbray.exceptions import RayError, RaySystemError, TaskCancelledError, told_of
from nbray.ids import FIRST_NODE
from nbray.options import UNIT, TaskOptions, demand
from nbray.refs import ObjectRef
from nbray.util.chunk_run import Plan, Report, brief, run_chunk, unpack_error, weight
from nbray.util.chunks import Chunk, Raising
from nbray.util.sizes import Sizes

AHEAD = 3
"""Unfinished chunks for each worker: one runs, one waits there, one is on its way."""
KEPT = 16
"""Chunks for each worker whose results wait for those of an earlier one."""
PATIENCE = 2.0
"""A chunk gives back what it has not begun after this many times what it should take."""
LEAST_PATIENCE = 0.02
"""Seconds; the watch need not look more often."""
READ = 500_000
"""Items read and not yet handed out, at most."""
SLICED = (range, list, tuple)
"""What is cut into slices; anything else is read item by item."""
READING = 0.01
"""Seconds that items are read for one chunk, so that a slow source holds nothing up."""


class Run:
    """The work of one map. Iterating gives iterators over results, as they come.

    They are for `itertools.chain`, which hands out single results at the speed of
    C. An error is an iterator that raises, so that the chain goes on after it.
    """

    _ended = True  # until it has begun
    _watched: tuple[str, contextlib.AbstractContextManager[Any]] | None = None

    def __init__(
        self,
        plan: Plan,
        large: list[ObjectRef[Any]],
        options: TaskOptions,
        source: Iterable[Any],
        total: int | None,
        *,
        seconds: float,
        ordered: bool,
        max_in_flight: int | None,
        return_exceptions: bool,
    ) -> None:
        engine = session.require()
        self._concurrent = engine.capabilities.concurrent
        if engine.capabilities.early:
            patience = max(LEAST_PATIENCE, PATIENCE * seconds)
            plan = msgspec.structs.replace(plan, patience=patience)
        self.name = plan.name
        self.total = total
        self.done = 0
        """Items that have ended, well or not."""
        self.waits = True
        """Whether asking for results may wait."""
        self._engine: Engine = engine
        self._function = Function(functools.partial(run_chunk, plan), plan.name)
        self._options = options
        self._width = plan.width
        self._large = large
        self._source = iter(source)
        self._sequence: Any = source if type(source) in SLICED else None
        self._exhausted = False
        self._broken: Exception | None = None
        """What reading the items raised, to be raised where it came."""
        self._ordered = ordered
        self._limit = max_in_flight
        self._keep_errors = return_exceptions
        self._cell = session.cell.get()
        self._sizes = Sizes(_workers(engine, options), seconds)
        if options.max_retries == 0:
            self._sizes.most = 1  # what must not run twice shares a chunk with nothing
        self._looked = time.monotonic()
        self._line: list[Chunk] = []
        """Chunks in the order of their items, until their results are handed out."""
        self._flying: dict[ObjectRef[Any], Chunk] = {}
        """By the reference of their report."""
        self._early: dict[ObjectRef[Any], Chunk] = {}
        self._segments: deque[Iterator[Any]] = deque()
        self._given: Iterator[Any] = iter(())
        self._counted = total or 0
        self._read = 0
        self._taken = 0
        """Items whose results were handed out."""
        self._stopped = ""
        self._pulling = threading.Lock()
        self._nodes: dict[str, int] = {}
        self._ended = False
        if total:
            engine.cells.count(self._cell, total)
        self._fill()

    # -- results out --------------------------------------------------------------

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Iterator[Any]:
        try:
            with self._pulling:
                segment = self._next()
        except StopIteration:
            raise
        except BaseException as error:  # noqa: BLE001 - raised by the segment: the chain goes on
            self.cancel(f"cancelled by {type(error).__name__}")
            segment = Raising(error)
        self._given = segment
        self._taken += operator.length_hint(segment)
        return segment

    def _next(self) -> Iterator[Any]:
        while True:
            if self._stopped:
                return Raising(TaskCancelledError(f"the map of {self.name} was {self._stopped}"))
            if self.waits or not self._segments:
                if self._flying:
                    self._collect(0)
                self._fill()
            if self._segments:
                segment = self._segments.popleft()
                if isinstance(segment, Raising):
                    self._unwatch()
                return segment
            if self._flying:
                self._watch()
                self._collect(None)
            elif self._put_off() is not None:
                continue  # `_fill` took long, and has left it for the next round
            elif self._broken is not None:
                broken, self._broken = self._broken, None
                self._unwatch()
                return Raising(broken)
            else:
                self._ended = True
                self._unwatch()
                self._large.clear()
                raise StopIteration

    def arrive(self) -> None:
        """Wait until there is a result at hand (in a thread, for `async for`)."""
        with self._pulling:
            while not self.at_hand():
                self._fill()
                if self._flying:
                    self._collect(None)
                elif self._put_off() is None:
                    return

    def at_hand(self) -> bool:
        """Whether the next result is there already."""
        return bool(
            operator.length_hint(self._given) or self._segments or self._stopped or self._ended
        )

    def _watch(self) -> None:
        """Have bars shown if the loop takes long: one wait from here to its end."""
        watcher = session.watcher()
        cell = session.cell.get()
        if watcher is not None and (self._watched is None or self._watched[0] != cell):
            self._unwatch()
            context = watcher()
            context.__enter__()
            self._watched = cell, context

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            watched[1].__exit__(None, None, None)

    # -- items in -------------------------------------------------------------------

    def _fill(self) -> None:
        """Hand out chunks while there is room."""
        now = time.monotonic()
        if now - self._looked > 1.0:  # machines come and go
            self._looked = now
            self._sizes.workers = _workers(self._engine, self._options)
        workers = self._sizes.workers
        ahead, kept = AHEAD * workers, KEPT * workers
        if not self._concurrent:  # the chunk has run when `submit` returns: more would only be late
            ahead, kept = 1, 1
        while len(self._flying) < ahead and not self._stopped:
            chunk = self._put_off()
            if chunk is not None:
                self._split(chunk)
            elif self._exhausted or len(self._line) + len(self._segments) >= kept:
                return
            else:
                chunk = self._draw()
                if chunk is None:
                    return
                self._line.append(chunk)
            self._submit(chunk)
            if time.monotonic() - now > READING:
                return  # a slow source, or large items: see first what has come meanwhile

    def _put_off(self) -> Chunk | None:
        """The first chunk that is still, or again, to be handed out."""
        return next((c for c in self._line if c.ref is None and c.segments is None), None)

    def _draw(self) -> Chunk | None:
        """Read items for a new chunk; None if there are none, or no more may be read ahead."""
        wanted = self._sizes.next(None if self.total is None else max(0, self.total - self._read))
        limit = READ if self._limit is None else self._limit
        wanted = min(wanted, limit - (self._read - self._taken))
        if wanted < 1:
            return None
        if self._sequence is not None:
            items = self._sequence[self._read : self._read + wanted]
            self._exhausted = len(items) < wanted
        else:
            items = self._pull(wanted)
        first, self._read = self._read, self._read + len(items)
        if self._read > self._counted or self._exhausted:
            self._count_read()
        if not items:
            return None
        self._sizes.weighs(max(map(weight, items[:1] if self._width == 1 else items[0])))
        return Chunk(first, items)

    def _pull(self, wanted: int) -> list[Any]:
        """Take up to *wanted* items from the source; fewer if it is slow."""
        items: list[Any] = []
        until = time.monotonic() + READING
        step = 1
        try:
            while len(items) < wanted and (not items or time.monotonic() < until):
                goal = min(wanted, len(items) + step)
                # `extend` keeps what came before an error.
                items.extend(itertools.islice(self._source, goal - len(items)))
                if len(items) < goal:
                    self._exhausted = True
                    break
                step *= 8
        except Exception as error:  # noqa: BLE001 - raised again when the loop gets there
            self._exhausted = True
            self._broken = error
        return items

    def _count_read(self) -> None:
        """Have the screens' total agree with what was read."""
        if self._read != self._counted:
            self._engine.cells.count(self._cell, self._read - self._counted)
            self._counted = self._read

    def _arguments(self, items: Sequence[Any]) -> Sequence[Any]:
        """*items* as `run_chunk` takes them: references must be arguments of their own."""
        if type(items) is range:
            return (items,)
        flat = items if self._width == 1 else list(itertools.chain.from_iterable(items))
        return (None, *flat) if ObjectRef in set(map(type, flat)) else (items,)

    def _split(self, chunk: Chunk) -> None:
        """Leave in *chunk* what is to run together, and the rest in a chunk behind it."""
        size = 1 if chunk.alone else self._sizes.next(len(chunk.items))
        if len(chunk.items) > size:
            self._cut(chunk, size)

    def _cut(self, chunk: Chunk, size: int) -> None:
        rest = Chunk(chunk.first + size, chunk.items[size:], chunk.alone)
        self._line.insert(self._line.index(chunk) + 1, rest)
        chunk.items = chunk.items[:size]

    def _submit(self, chunk: Chunk) -> None:
        token = session.cell.set(self._cell)
        try:
            args = (chunk.first, self._large, *self._arguments(chunk.items))
            ref, early = self._engine.submit(self._function, args, {}, self._options)
        except Exception as error:  # noqa: BLE001 - users' items raise what they like when pickled
            self._fail(chunk, error)
        else:
            chunk.ref, chunk.early, chunk.skip = ref, early, 0
            self._flying[ref] = self._early[early] = chunk
        finally:
            session.cell.reset(token)

    # -- what became of chunks ---------------------------------------------------------

    def _collect(self, timeout: float | None) -> None:
        """Take what has come; wait up to *timeout* seconds for something to come."""
        refs = [*self._flying, *self._early]
        ready, _ = self._engine.wait(refs, 1, timeout, False)
        if ready:
            ready, _ = self._engine.wait(refs, len(refs), 0, False)
        for ref in ready:
            if self._stopped:
                return
            chunk = self._flying.pop(ref, None)
            if chunk is None:
                chunk = self._early.pop(ref, None)
                early = self._get(ref) if chunk is not None and chunk.ref in self._flying else None
                if isinstance(early, Report) and chunk is not None:
                    self._take_early(chunk, early)
                continue
            chunk.ref = None
            if chunk.early is not None:
                self._early.pop(chunk.early, None)
                chunk.early = None
            report = self._get(ref)
            if isinstance(report, Report):
                self._take(chunk, report)
            elif report is not None:
                self._fail(chunk, report)

    def _get(self, ref: ObjectRef[Any]) -> Report | Exception | None:
        """A report, or why there is none; cancels everything if that is because of a cancel."""
        try:
            found: Report | None = self._engine.get([ref], None)[0]
        except TaskCancelledError:
            self.cancel()
            return None
        except RaySystemError:
            raise
        except Exception as error:  # noqa: BLE001 - the user's classes may fail to unpickle
            return error
        return found

    def _fail(self, chunk: Chunk, error: Exception) -> None:
        """A chunk failed as a whole."""
        if not chunk.items:  # after an early report that had all its results
            self._settle(chunk, [])
            return
        if len(chunk.items) > 1:
            chunk.alone = True
            return
        if told_of(error) is None:
            error.add_note(f"(item {chunk.first}: {brief(chunk.items[0])})")
        self._engine.cells.count(self._cell, 0, failed=1)
        self._settle(chunk, [iter([error])] if self._keep_errors else [Raising(error)])

    def _take_early(self, chunk: Chunk, report: Report) -> None:
        """A chunk takes long: its first results, and how many of its items are given back."""
        ran = len(report.results)
        self._sizes.measured(ran + 1, report.seconds)
        if report.left:
            self._cut(chunk, len(chunk.items) - report.left)
        if ran:
            head = Chunk(chunk.first, chunk.items[:ran])
            self._line.insert(self._line.index(chunk), head)
            chunk.first, chunk.items, chunk.skip = chunk.first + ran, chunk.items[ran:], ran
            self._deliver(head, report, 0)

    def _take(self, chunk: Chunk, report: Report) -> None:
        """A chunk has ended, perhaps without having begun its last items."""
        if not chunk.items:  # the early report had them all
            self._settle(chunk, [])
            return
        ran = min(len(report.results) - chunk.skip, len(chunk.items))
        if ran < 1:
            return  # nothing was begun: it is handed out again
        if ran < len(chunk.items):
            self._cut(chunk, ran)
        self._sizes.measured(len(report.results), report.seconds)
        self._deliver(chunk, report, chunk.skip)

    def _deliver(self, chunk: Chunk, report: Report, skip: int) -> None:
        """Settle *chunk* with the results from number *skip* on."""
        self._sizes.weighs(report.weight)
        size = len(chunk.items)
        results = report.results
        if skip or len(results) > size:
            results = results[skip : skip + size]
        failures = [
            (place - skip, packed)
            for place, packed in report.failures
            if skip <= place < skip + size
        ]
        bad = len(failures)
        self._engine.cells.count(self._cell, 0, self._number(report.node), size - bad, bad)
        segments: list[Iterator[Any]] = []
        begin = 0
        for place, packed in failures:
            error = unpack_error(packed)
            if self._keep_errors:
                results[place] = error
                continue
            segments += [iter(results[begin:place]), Raising(error)]
            begin = place + 1
        self._settle(chunk, [*segments, iter(results[begin:] if begin else results)])

    def _settle(self, chunk: Chunk, segments: list[Iterator[Any]]) -> None:
        """The results of *chunk* are there; hand out those whose turn has come."""
        self.done += len(chunk.items)
        chunk.items = ()
        line = self._line
        if not self._ordered:
            line.remove(chunk)
            self._segments.extend(segments)
            return
        chunk.segments = segments
        while line and line[0].segments is not None:
            self._segments.extend(line.pop(0).segments or ())

    def _number(self, node: str) -> int:
        if node not in self._nodes:
            known = self._engine.cluster.nodes()
            self._nodes = {row["NodeID"]: row.get("NodeNumber", FIRST_NODE) for row in known}
        return self._nodes.get(node, FIRST_NODE)

    # -- the end ---------------------------------------------------------------------------

    def left(self) -> int:
        """How many items have not ended, of those that are known."""
        return max(self._read, self.total or 0) - self.done

    def cancel(self, why: str = "cancelled") -> int:
        """Cancel what has not ended, in the middle of a chunk too; how many items that were."""
        if self._ended or self._stopped:
            return 0
        self._stopped = why
        self._ended = True
        self._unwatch()
        left = self._read - self.done
        engine = self._engine
        if session.current() is engine:
            with contextlib.suppress(RayError):
                for ref in list(self._flying):
                    engine.cancel(ref, False, True)
                run = session.run.get()
                stop = run is not None and run.stopped
                if not stop or self._exhausted or self._read > self._counted:
                    self._count_read()
                # Of the Stop button's doing the total stays: all that was asked for is cancelled.
                engine.cells.count(self._cell, 0, cancelled=self._counted - self.done)
        return left

    def __del__(self) -> None:
        if not self._ended:
            # Garbage collection may come while this thread holds the engine's lock.
            with contextlib.suppress(RuntimeError):
                _thread.start_new_thread(self.cancel, ("dropped",))


def _workers(engine: Engine, options: TaskOptions) -> int:
    """How many tasks with these options the cluster can run at the same time."""
    total = engine.cluster.resources()
    wanted = demand(options) or {"CPU": UNIT}
    return max(1, min(int(total.get(name, 0) * UNIT) // amount for name, amount in wanted.items()))
