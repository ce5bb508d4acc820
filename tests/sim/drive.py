"""What a simulated driver does: a random program whose every result is known beforehand.

Owns the shapes of work and what each reference must turn out to be. Does not
own faults or the end (`scenario`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from details import EVERYTHING
from sim.api import Api
from sim.programs import plain
from sim.threads import sleep, thread
from sim.values import Big, Handle
from sim.world import SimFailure, who

from nbray import session
from nbray.exceptions import GetTimeoutError, ObjectStoreFullError, RaySystemError

if TYPE_CHECKING:
    from sim.scenario import Scenario

MISSING = object()
FAULTS = frozenset(
    {
        "WorkerCrashedError", "NodeDiedError", "OwnerDiedError", "ActorDiedError",
        "ActorUnavailableError", "ObjectLostError", "TaskUnschedulableError",
    }
)  # fmt: skip
"""What may be raised instead of a value when something was broken on purpose."""


class Expect(msgspec.Struct):
    """What a reference must turn out to be."""

    value: Any = MISSING
    errors: set[str] = msgspec.field(default_factory=set)
    deps: list[Expect] = []
    """What its value or its errors come from."""
    inner: list[Expect] | None = None
    """References at the end of its value."""
    call: bool = False
    """An actor's answer: (method, incarnation, number, tag, more)."""
    attempts: set[str] = msgspec.field(default_factory=set)
    """Errors that earlier attempts raise, and that a cancelled task may end with."""
    actor: bool = False
    """An actor; the dependencies are its constructor's."""

    def allowed(self) -> set[str]:
        """Names of the errors it may raise, faults aside."""
        names = set(self.errors)
        for dep in self.deps:
            names |= dep.allowed()
        if self.actor and names:
            names.add("ActorDiedError")  # its constructor's argument failed
        return names

    def calls_actors(self) -> bool:
        """Whether it comes from an actor: an actor that waits for it may wait for itself."""
        return self.actor or self.call or any(dep.calls_actors() for dep in self.deps)

    def must_fail(self) -> bool:
        """Whether it cannot have a value."""
        return self.value is MISSING or any(dep.must_fail() for dep in self.deps)


Live = tuple[Any, Expect]


class Drive:
    """One driver's random program."""

    def __init__(self, scenario: Scenario, api: Api, count: int) -> None:
        self.scenario = scenario
        self.world = scenario.world
        self.rng = scenario.world.rng
        self.api = api
        self.count = count
        self.tag = 0
        self.live: list[Live] = []
        self.handles: list[tuple[Handle, Expect]] = []
        self.waits_since = float("inf")
        """Since when it waits for a result."""
        self.orders: dict[Any, list[tuple[int, int]]] = {}
        """Answers of each actor's calls, in the order of the calls; checked at the end."""
        self.printed: list[str] = []
        """What its tasks have printed."""
        self.cells: dict[str, list[Expect]] = {}
        """What each cell has launched, as far as its cancelling may mean that."""
        self._step = 0
        self.shapes: list[Callable[[], Any]] = [
            self._value, self._value, self._value, self._combine, self._combine, self._opens,
            self._nested, self._spawn, self._pass_on, self._relay, self._big, self._big_refs,
            self._looks, self._multi, self._fails, self._flaky, self._dies, self._put, self._burst,
            self._actor, self._call, self._call, self._call, self._many_calls, self._calls,
            self._hold, self._named, self._handle_back, self._impossible, self._waits, self._kill,
            self._remote_call_dep, self._hasty, self._impatient, self._stopped, self._look_around,
            self._cancel_cell,
        ]  # fmt: skip

    def run(self) -> Any:
        """Do it, or until this driver's machine is cut off from the cluster."""
        try:
            self._run()
        except RaySystemError:
            if not self._cut_off():
                raise
        self.live.clear()
        self.handles.clear()

    def _cut_off(self) -> bool:
        return self.world.machine(self.api.brain.node) in self.scenario.out

    def _run(self) -> Any:
        rng = self.rng
        self.api.engine.cells.on_output(lambda event: self.printed.append(event.text))
        for _ in range(self.count):
            self._step += 1
            if rng.random() < 0.1:
                session.cell.set(rng.choice(["", "one", "two"]))
            try:
                rng.choice(self.shapes)()
            except ObjectStoreFullError:
                if "ObjectStoreFullError" not in self.scenario.more_errors:
                    raise
            if rng.random() < 0.3:
                sleep(0.02 * rng.random() if rng.random() < 0.9 else rng.random())
            if self.live and rng.random() < 0.15:
                self.live.pop(rng.randrange(len(self.live)))  # drop it unread
            if self.live and rng.random() < 0.06:
                ref, expect = rng.choice(self.live)
                # Or its own error, if that was on its way.
                expect.errors |= {"TaskCancelledError", *expect.attempts}
                force = self.scenario.kind != "calm" and rng.random() < 0.3
                if force:  # what else its worker owns goes with it
                    self.scenario.break_something(f"{ref.seq} is cancelled with force")
                self.api.cancel(ref, force)
                del ref
            if self.live and rng.random() < 0.2:
                live = self.live.pop(rng.randrange(len(self.live)))
                self._verify(live)
                del live
            if self.handles and rng.random() < 0.08:
                self.handles.pop(rng.randrange(len(self.handles)))
            if self.live and rng.random() < 0.1:
                some = [ref for ref, _ in rng.sample(self.live, min(4, len(self.live)))]
                self.api.wait(some, rng.randint(1, len(some)), 0.5 * rng.random())
                del some
        rng.shuffle(self.live)
        while self.live:
            live = self.live.pop()
            self._verify(live)
            del live
        self.handles.clear()
        for answers in self.orders.values():
            if answers != sorted(answers):
                self.world.fail(f"an actor's calls ran out of order: {answers}")

    # -- checking ---------------------------------------------------------------------

    def _verify(self, live: Live, timeout: float | None = None) -> Any:
        ref, expect = live
        name = f"{who(ref.owner)}'s {ref.seq}"
        by_future = timeout is None and self.rng.random() < 0.1
        try:
            values = [self._future(ref)] if by_future else self._get([ref], timeout)
        except SimFailure:
            raise
        except GetTimeoutError:
            if timeout is None:
                raise
            self.live.append(live)
            return
        except Exception as error:
            kinds = {kind.__name__ for kind in type(error).__mro__}
            allowed = expect.allowed()
            if self.scenario.broken:
                allowed |= FAULTS | self.scenario.more_errors
            if self._cut_off():
                allowed.add("RaySystemError")
            if not kinds & allowed:
                self.world.fail(f"{name} raised {error!r}, expected {expect}")
            return
        value = values.pop()
        del ref, live
        if expect.must_fail():
            self.world.fail(f"{name} is {value!r} and should have failed: {expect}")
        payload = value.payload if isinstance(value, Big) else value
        if payload and payload[0] == "looks" and not by_future:
            text = f"looks {payload[1]}\n"
            if not any(text in one for one in self.printed):  # it leaves before the answer
                self.world.fail(f"{name} is there, and not what it printed")
        if expect.call:
            got: Any = (payload[0], payload[3], payload[4])
        else:
            got = payload
        if expect.inner is None:
            if plain(got) != expect.value:
                self.world.fail(f"{name} is {plain(got)!r}, not {expect.value!r}")
            if isinstance(value, Big) and self.rng.random() < 0.3:
                sleep(0.1 * self.rng.random())
                plain(value)
            return
        if plain(got[:-1]) != expect.value:
            self.world.fail(f"{name} is {got!r}, not {expect.value!r}")
        refs = list(got[-1])
        if len(refs) != len(expect.inner):
            self.world.fail(f"{name} holds {len(refs)} references, not {len(expect.inner)}")
        if self.rng.random() < 0.5:
            del value, values, payload, got
        for one, inner in zip(refs, expect.inner, strict=True):
            if self.rng.random() < 0.8:
                self._verify((one, inner))

    def _get(self, refs: list[Any], timeout: float | None = None) -> Any:
        self.waits_since = self.world.now
        try:
            return self.api.get(refs, timeout)
        finally:
            self.waits_since = float("inf")

    def _future(self, ref: Any) -> Any:
        self.waits_since = self.world.now
        try:
            return self.api.future(ref)
        finally:
            self.waits_since = float("inf")

    def _pick(self, most: int) -> list[Live]:
        plain_ones = [one for one in self.live if one[1].inner is None]
        return self.rng.sample(plain_ones, min(len(plain_ones), self.rng.randint(0, most)))

    def _some(self) -> list[Live]:
        return self._pick(3)

    def _next(self) -> int:
        self.tag += 1
        return self.tag

    def _seconds(self) -> float:
        chance = self.rng.random()
        if chance < 0.5:
            return 0.0
        return 0.02 * self.rng.random() if chance < 0.9 else 0.5 * self.rng.random()

    def _options(self, **more: Any) -> dict[str, Any]:
        rng = self.rng
        options: dict[str, Any] = {"max_retries": rng.choice([0, 0, 1, 3, 3])}
        if rng.random() < 0.2:
            options["num_cpus"] = rng.choice([0, 0.5, 1])
        if rng.random() < 0.1:
            options["node"] = rng.choice(list(self.world.nodes))
        return {**options, **more}

    def _keep(self, refs: list[Any], expect: Expect) -> None:
        self.live.extend((ref, expect) for ref in refs)
        self.cells.setdefault(session.cell.get(), []).append(expect)

    # -- tasks ---------------------------------------------------------------------------

    def _value(self) -> Any:
        tag = self._next()
        size = self.rng.choice([0, 0, 0, 0, 120_000])
        refs = self.api.submit(
            "value", tag, self._seconds(), options=self._options(), size=size
        )
        self._keep(refs, Expect(("value", tag)))

    def _burst(self) -> Any:
        seconds = self.rng.choice([0.0, 0.0, 0.0002, 0.004])
        options = self._options()
        for _ in range(self.rng.randint(5, 40)):
            tag = self._next()
            refs = self.api.submit("value", tag, seconds, options=options)
            if self.rng.random() < 0.5:
                self._keep(refs, Expect(("value", tag)))

    def _combine(self) -> Any:
        tag, deps, more = self._next(), self._some(), self._pick(1)
        keywords = {"extra": more[0][0]} if more else {}
        refs = self.api.submit(
            "combine", tag, self._seconds(), *[ref for ref, _ in deps], options=self._options(),
            **keywords,
        )  # fmt: skip
        keywords.clear()
        value = (
            "combine", tag, tuple(self._read(e) for _, e in deps),
            tuple(("extra", self._read(e)) for _, e in more),
        )  # fmt: skip
        self._keep(refs, Expect(value, deps=[e for _, e in deps + more]))

    @staticmethod
    def _read(expect: Expect) -> Any:
        return expect.value

    def _opens(self) -> Any:
        tag, inside = self._next(), self._plain_some()
        refs = self.api.submit(
            "opens", tag, [ref for ref, _ in inside], options=self._options()
        )
        value = ("opens", tag, tuple(e.value for _, e in inside))
        self._keep(refs, Expect(value, deps=[e for _, e in inside]))

    def _plain_some(self) -> list[Live]:
        return [one for one in self._some() if not one[1].call]

    def _nested(self) -> Any:
        tag, count, depth = self._next(), self.rng.randint(1, 3), self.rng.randint(0, 2)
        seconds = self._seconds() / 4
        refs = self.api.submit(
            "nested", tag, count, depth, seconds, options=self._options()
        )

        def made(tag: int, depth: int) -> Any:
            if depth < 0:
                return ("value", tag)
            return ("nested", tag, tuple(made(index, depth - 1) for index in range(count)))

        self._keep(refs, Expect(made(tag, depth)))

    def _spawn(self) -> Any:
        tag, large = self._next(), self.rng.random() < 0.5
        refs = self.api.submit(
            "spawn", tag, self._seconds(), large, options=self._options()
        )
        inner = [Expect(("value", tag)), Expect(("put", tag))]
        if large:
            inner.append(Expect(("put", tag)))
        self._keep(refs, Expect(("spawn", tag), inner=inner))

    def _pass_on(self) -> Any:
        tag, inside = self._next(), self._plain_some()
        refs = self.api.submit(
            "pass_on", tag, self._seconds(), [ref for ref, _ in inside], options=self._options()
        )
        self._keep(refs, Expect(("pass_on", tag), inner=[e for _, e in inside]))

    def _relay(self) -> Any:
        tag, inside = self._next(), self._plain_some()
        refs = self.api.submit(
            "relay", tag, [ref for ref, _ in inside], options=self._options()
        )
        value = ("opens", tag, tuple(e.value for _, e in inside))
        inner = Expect(value, deps=[e for _, e in inside])
        self._keep(refs, Expect(("relay", tag), inner=[inner]))

    def _big(self) -> Any:
        tag = self._next()
        size = self.rng.choice([70_000, 300_000, 2_500_000])
        refs = self.api.submit(
            "big", tag, self._seconds(), size, options=self._options()
        )
        self._keep(refs, Expect(("big", tag)))

    def _big_refs(self) -> Any:
        tag, inside = self._next(), self._plain_some()
        refs = self.api.submit(
            "big_with_refs", tag, [ref for ref, _ in inside], options=self._options()
        )
        expect = Expect(("big_with_refs", tag), inner=[e for _, e in inside])
        self._keep(refs, expect)

    def _looks(self) -> Any:
        tag, deps = self._next(), self._some()
        refs = self.api.submit(
            "looks", tag, self._seconds(), *[ref for ref, _ in deps], options=self._options()
        )
        value = ("looks", tag, tuple(self._read(e) for _, e in deps))
        self._keep(refs, Expect(value, deps=[e for _, e in deps]))

    def _hasty(self) -> Any:
        tag, size = self._next(), self.rng.choice([0, 0, 95_000])
        refs = self.api.submit(
            "hasty", tag, self._seconds(), size, options=self._options(num_returns=2)
        )
        errors: set[str] = set()
        for index, ref in enumerate(refs):
            self._keep([ref], Expect(("hasty", tag, index), errors))
        del ref

    # -- the notebook's part --------------------------------------------------------------

    def _impatient(self) -> Any:
        """Wait for a while only."""
        if self.live:
            live = self.live.pop(self.rng.randrange(len(self.live)))
            self._verify(live, 0.1 * self.rng.random() ** 2)

    def _stopped(self) -> Any:
        """A person presses Stop while something blocks."""
        step, me = self._step, thread()

        def stop() -> None:
            if self._step == step:
                raise KeyboardInterrupt

        def press() -> None:
            if self._step == step and self.api.process.alive:
                me.interrupt(stop)

        self.world.at(0.01 * self.rng.random() ** 3, press)
        with contextlib.suppress(KeyboardInterrupt):
            self.rng.choice(
                [self._impatient, self._put, self._named, self._value, self._handle_back]
            )()
        self._step += 1

    def _look_around(self) -> Any:
        engine = self.api.engine
        engine.insight.details(EVERYTHING)
        engine.insight.snapshot()
        held = {(one.object.owner, one.object.seq) for one in engine.insight.holdings()}
        mine = {(ref.owner, ref.seq) for ref, _ in self.live}
        if mine - held:
            self.world.fail(f"{who(self.api.brain.me)} holds {mine - held} and does not say so")
        total, free = engine.cluster.resources(), engine.cluster.available()
        if any(free[kind] > total[kind] for kind in free):
            self.world.fail(f"{free} of {total} is free")
        assert engine.cluster.nodes()
        engine.actors.names(True)

    def _cancel_cell(self) -> Any:
        """Cancel what a cell has not finished."""
        cells = self.api.engine.cells
        cell = session.cell.get()
        for expect in self.cells.pop(cell, []):
            expect.errors |= {"TaskCancelledError", *expect.attempts}
        force = self.scenario.kind != "calm" and self.rng.random() < 0.3
        if force:
            self.scenario.break_something(f"cell {cell!r} is cancelled with force")
        count = cells.cancel(cell, force)
        left, view = cells.unfinished(cell), cells.view(cell)
        if max(count, left) > (view.submitted if view is not None else 0):
            self.world.fail(f"cell {cell!r} had {count} tasks, has {left}, and shows {view}")

    def _multi(self) -> Any:
        tag, count = self._next(), self.rng.randint(2, 4)
        refs = self.api.submit(
            "multi", tag, count, options=self._options(num_returns=count)
        )
        errors: set[str] = set()  # one is cancelled with the others
        for index, ref in enumerate(refs):
            self._keep([ref], Expect(("multi", tag, index), errors))
        del ref

    def _fails(self) -> Any:
        tag = self._next()
        refs = self.api.submit("fails", tag, self._seconds(), options=self._options())
        self._keep(refs, Expect(errors={"ValueError"}))

    def _flaky(self) -> Any:
        tag, times, retries = self._next(), self.rng.randint(1, 3), self.rng.randint(0, 3)
        refs = self.api.submit(
            "flaky", tag, times, options=self._options(max_retries=retries, retry_exceptions=True)
        )
        if times <= retries:
            lost = {"KeyError"} if self.scenario.broken else set()
            self._keep(refs, Expect(("flaky", tag), lost, attempts={"KeyError"}))
        else:
            self._keep(refs, Expect(errors={"KeyError"}))

    def _dies(self) -> Any:
        if self.scenario.kind == "calm":
            return
        sleep(0.0)
        tag, times, retries = self._next(), self.rng.randint(1, 2), self.rng.randint(0, 3)
        self.scenario.break_something(f"task {tag} dies {times} times")
        refs = self.api.submit(
            "dies", tag, times, options=self._options(max_retries=retries)
        )
        self._keep(refs, Expect(("dies", tag), {"WorkerCrashedError"}))

    def _impossible(self) -> Any:
        tag = self._next()
        refs = self.api.submit("value", tag, 0.0, options={"num_cpus": 500})
        self._keep(refs, Expect(errors={"TaskUnschedulableError"}))

    def _waits(self) -> Any:
        tag, inside = self._next(), self._plain_some()
        refs = self.api.submit(
            "waits", tag, [ref for ref, _ in inside], 0.2 * self.rng.random(),
            options=self._options(),
        )  # fmt: skip
        self._keep(refs, Expect(("waits", tag)))

    def _put(self) -> Any:
        tag = self._next()
        inside = self._plain_some()
        content = ("put", tag, [ref for ref, _ in inside])
        large = self.rng.random() < 0.5
        ref = self.api.put(Big(content, 90_000) if large else content)
        self._keep([ref], Expect(("put", tag), inner=[e for _, e in inside]))

    # -- actors ----------------------------------------------------------------------------

    def _actor(self) -> Any:
        rng = self.rng
        if rng.random() < 0.1:
            handle = self.api.actor("Broken")
            refs = self.api.call(handle, "add", self._next())
            self._keep(refs, Expect(errors={"LookupError", "ActorDiedError"}))
            return
        deps = self._some()
        handle = self.api.actor(
            "Counter", *[ref for ref, _ in deps], restarts=rng.choice([0, 0, 1, -1]),
            cpus=0.1 if self.scenario.roomy and rng.random() < 0.25 else 0,
        )  # fmt: skip
        self.handles.append((handle, Expect((), deps=[e for _, e in deps], actor=True)))

    def _call_on(
        self, handle: Handle, expect: Expect, method: str, *args: Any, more: Any = None,
        deps: list[Expect] | None = None, inner: list[Expect] | None = None,
    ) -> Any:  # fmt: skip
        tag = self._next()
        retries = self.rng.choice([0, 0, 2])
        refs = self.api.call(handle, method, tag, *args, retries=retries)
        value = (method, tag) if inner is not None else (method, tag, more)
        found = Expect(value, deps=[expect, *(deps or [])], inner=inner, call=True)
        self._keep(refs, found)
        return found

    def _call(self) -> Any:
        if not self.handles:
            self._actor()
        if self.handles:
            handle, expect = self.rng.choice(self.handles)
            method = self.rng.choice(["add", "add", "add", "fails", "make", "dies"])
            if method == "add":
                self._call_on(handle, expect, "add", self._seconds())
            elif method == "fails":
                found = self._call_on(handle, expect, "fails")
                found.value = MISSING
                found.errors.add("ValueError")
            elif method == "make":
                tag = self.tag + 1
                # What an actor owns goes with it, when its last handle is dropped too.
                made = [Expect(("made", tag), {"OwnerDiedError"}) for _ in range(2)]
                self._call_on(handle, expect, "make", inner=made)
            elif self.scenario.kind != "calm":
                self.scenario.break_something("an actor exits")
                found = self._call_on(handle, expect, "dies")
                found.value = MISSING
                found.errors.add("ActorDiedError")

    def _many_calls(self) -> Any:
        if not self.handles:
            self._actor()
        if not self.handles:
            return
        handle, expect = self.rng.choice(self.handles)
        for _ in range(self.rng.randint(2, 15)):
            deps = self._pick(1) if self.rng.random() < 0.2 else []
            deps = [one for one in deps if not one[1].call]
            args = [0.0, *(ref for ref, _ in deps)]
            more = deps[0][1].value if deps else None
            self._call_on(
                handle, expect, "add", *args, more=more, deps=[e for _, e in deps]
            )
            del args
            self._order(handle)

    def _order(self, handle: Handle) -> None:
        """Have the last call's answer checked against those before it."""
        ref, _ = self.live[-1]
        order = self.orders.setdefault((handle.info.owner, handle.info.actor), [])
        entry = self.api.brain.objects.owned[ref.seq]
        self.api.brain.objects.put_waiter(entry, _Note(order, self.api))

    def _hold(self) -> Any:
        if not self.handles:
            return
        handle, expect = self.rng.choice(self.handles)
        inside = [one for one in self._plain_some() if not one[1].calls_actors()]
        self._call_on(handle, expect, "hold", [ref for ref, _ in inside])
        if self.rng.random() < 0.7:
            if self.rng.random() < 0.5:
                found = self._call_on(handle, expect, "open_held")
            else:
                found = self._call_on(handle, expect, "give_held", inner=[])
            found.value = ANY
            found.inner = None
            found.errors |= {"ValueError", "KeyError", "TaskCancelledError", "LookupError",
                             "TaskUnschedulableError", "ActorDiedError"}  # fmt: skip

    def _calls(self) -> Any:
        if not self.handles:
            return
        handle, expect = self.rng.choice(self.handles)
        tag, count = self._next(), self.rng.randint(1, 4)
        refs = self.api.submit("calls", tag, handle, count, options=self._options())
        self._keep(refs, Expect(("calls", tag, count), deps=[expect]))

    def _remote_call_dep(self) -> Any:
        """An actor's answer as a task's argument."""
        if not self.handles:
            return
        handle, expect = self.rng.choice(self.handles)
        refs = self.api.call(handle, "add", self._next())
        more = self.api.submit("looks", self._next(), 0.0, *refs)
        found = Expect(ANY, deps=[expect])
        self._keep(refs, found)
        self._keep(more, Expect(ANY, deps=[found]))

    def _named(self) -> Any:
        rng = self.rng
        name = f"actor{rng.randint(1, 2)}"
        expect = Expect((), errors={"ActorDiedError"}, actor=True)
        try:
            if rng.random() < 0.5:
                handle = self.api.actor("Counter", name=name, get_if_exists=True)
            elif rng.random() < 0.5:
                handle = self.api.get_actor(name)
            else:
                handle = self.api.actor("Counter", name=name)
        except ValueError:
            return
        # It may be the other driver's, which drops it when it likes.
        self.handles.append((handle, expect))

    def _handle_back(self) -> Any:
        tag = self._next()
        refs = self.api.submit("makes_actor", tag, options=self._options())
        try:
            values = self._get(refs)
        except SimFailure:
            raise
        except Exception as error:
            if self._cut_off():
                raise
            kinds = {kind.__name__ for kind in type(error).__mro__}
            if not (self.scenario.broken and kinds & (FAULTS | self.scenario.more_errors)):
                self.world.fail(f"makes_actor raised {error!r}")
            return
        self.handles.append((values[0][2], Expect((), actor=True)))

    def _kill(self) -> Any:
        sleep(0.0)
        if self.handles and self.rng.random() < 0.5:
            handle, expect = self.rng.choice(self.handles)
            expect.errors |= {"ActorDiedError", "ActorUnavailableError"}
            self.api.kill(handle, no_restart=self.rng.random() < 0.7)


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "ANY"


ANY = _Any()


class _Note:
    """A waiter that notes an actor's answer when it is there."""

    def __init__(self, order: list[tuple[int, int]], api: Api) -> None:
        self._order = order
        self._index = len(order)
        self._api = api

    def settle(self, entry: Any) -> None:
        from nbray.runtime.core.objects import READY
        from nbray.wire.pickling import unpack

        if entry.state == READY:
            payload = unpack(entry.value, self._api.engine.memory.restore)
            self._order.append((payload[1], payload[2]))
