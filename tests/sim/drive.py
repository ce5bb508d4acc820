"""What a simulated driver does: a random program whose every result is known beforehand.

Owns the shapes of work and what each reference must turn out to be. Does not
own faults or the end (`scenario`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from sim.api import Api, Big, Flow, Handle, Sleep
from sim.programs import plain
from sim.world import SimFailure, who

from nbray.exceptions import ObjectStoreFullError, RaySystemError

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
        self.shapes: list[Callable[[], Flow]] = [
            self._value, self._value, self._value, self._combine, self._combine, self._opens,
            self._nested, self._spawn, self._pass_on, self._relay, self._big, self._big_refs,
            self._looks, self._multi, self._fails, self._flaky, self._dies, self._put, self._burst,
            self._actor, self._call, self._call, self._call, self._many_calls, self._calls,
            self._hold, self._named, self._handle_back, self._impossible, self._waits, self._kill,
            self._remote_call_dep,
        ]  # fmt: skip

    def run(self) -> Flow:
        """Do it, or until this driver's machine is cut off from the cluster."""
        try:
            yield from self._run()
        except RaySystemError:
            if not self._cut_off():
                raise
        self.live.clear()
        self.handles.clear()

    def _cut_off(self) -> bool:
        return self.world.machine(self.api.brain.node) in self.scenario.out

    def _run(self) -> Flow:
        rng = self.rng
        for _ in range(self.count):
            try:
                yield from rng.choice(self.shapes)()
            except ObjectStoreFullError:
                if "ObjectStoreFullError" not in self.scenario.more_errors:
                    raise
            if rng.random() < 0.3:
                yield Sleep(0.02 * rng.random() if rng.random() < 0.9 else rng.random())
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
                yield from self._verify(live)
                del live
            if self.handles and rng.random() < 0.08:
                self.handles.pop(rng.randrange(len(self.handles)))
            if self.live and rng.random() < 0.1:
                some = [ref for ref, _ in rng.sample(self.live, min(4, len(self.live)))]
                yield from self.api.wait(some, rng.randint(1, len(some)), 0.5 * rng.random())
                del some
        rng.shuffle(self.live)
        while self.live:
            live = self.live.pop()
            yield from self._verify(live)
            del live
        self.handles.clear()
        for answers in self.orders.values():
            if answers != sorted(answers):
                self.world.fail(f"an actor's calls ran out of order: {answers}")

    # -- checking ---------------------------------------------------------------------

    def _verify(self, live: Live) -> Flow:
        ref, expect = live
        name = f"{who(ref.owner)}'s {ref.seq}"
        try:
            values = yield from self._get([ref])
        except SimFailure:
            raise
        except GeneratorExit:
            raise
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
        if expect.call:
            got: Any = (payload[0], payload[3], payload[4])
        else:
            got = payload
        if expect.inner is None:
            if plain(got) != expect.value:
                self.world.fail(f"{name} is {plain(got)!r}, not {expect.value!r}")
            if isinstance(value, Big) and self.rng.random() < 0.3:
                yield Sleep(0.1 * self.rng.random())
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
                yield from self._verify((one, inner))

    def _get(self, refs: list[Any]) -> Flow:
        self.waits_since = self.world.now
        try:
            return (yield from self.api.get(refs))
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
        options: dict[str, Any] = {"retries": rng.choice([0, 0, 1, 3, 3])}
        if rng.random() < 0.2:
            options["cpus"] = rng.choice([0, 0.5, 1])
        if rng.random() < 0.1:
            options["node"] = rng.choice(list(self.world.nodes))
        return {**options, **more}

    def _keep(self, refs: list[Any], expect: Expect) -> None:
        self.live.extend((ref, expect) for ref in refs)

    # -- tasks ---------------------------------------------------------------------------

    def _value(self) -> Flow:
        tag = self._next()
        size = self.rng.choice([0, 0, 0, 0, 120_000])
        refs = yield from self.api.submit(
            "value", tag, self._seconds(), options=self._options(), size=size
        )
        self._keep(refs, Expect(("value", tag)))

    def _burst(self) -> Flow:
        seconds = self.rng.choice([0.0, 0.0, 0.0002, 0.004])
        options = self._options()
        for _ in range(self.rng.randint(5, 40)):
            tag = self._next()
            refs = yield from self.api.submit("value", tag, seconds, options=options)
            if self.rng.random() < 0.5:
                self._keep(refs, Expect(("value", tag)))

    def _combine(self) -> Flow:
        tag, deps, more = self._next(), self._some(), self._pick(1)
        keywords = {"extra": more[0][0]} if more else {}
        refs = yield from self.api.submit(
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

    def _opens(self) -> Flow:
        tag, inside = self._next(), self._plain_some()
        refs = yield from self.api.submit(
            "opens", tag, [ref for ref, _ in inside], options=self._options()
        )
        value = ("opens", tag, tuple(e.value for _, e in inside))
        self._keep(refs, Expect(value, deps=[e for _, e in inside]))

    def _plain_some(self) -> list[Live]:
        return [one for one in self._some() if not one[1].call]

    def _nested(self) -> Flow:
        tag, count, depth = self._next(), self.rng.randint(1, 3), self.rng.randint(0, 2)
        seconds = self._seconds() / 4
        refs = yield from self.api.submit(
            "nested", tag, count, depth, seconds, options=self._options()
        )

        def made(tag: int, depth: int) -> Any:
            if depth < 0:
                return ("value", tag)
            return ("nested", tag, tuple(made(index, depth - 1) for index in range(count)))

        self._keep(refs, Expect(made(tag, depth)))

    def _spawn(self) -> Flow:
        tag, large = self._next(), self.rng.random() < 0.5
        refs = yield from self.api.submit(
            "spawn", tag, self._seconds(), large, options=self._options()
        )
        inner = [Expect(("value", tag)), Expect(("put", tag))]
        if large:
            inner.append(Expect(("put", tag)))
        self._keep(refs, Expect(("spawn", tag), inner=inner))

    def _pass_on(self) -> Flow:
        tag, inside = self._next(), self._plain_some()
        refs = yield from self.api.submit(
            "pass_on", tag, self._seconds(), [ref for ref, _ in inside], options=self._options()
        )
        self._keep(refs, Expect(("pass_on", tag), inner=[e for _, e in inside]))

    def _relay(self) -> Flow:
        tag, inside = self._next(), self._plain_some()
        refs = yield from self.api.submit(
            "relay", tag, [ref for ref, _ in inside], options=self._options()
        )
        value = ("opens", tag, tuple(e.value for _, e in inside))
        inner = Expect(value, deps=[e for _, e in inside])
        self._keep(refs, Expect(("relay", tag), inner=[inner]))

    def _big(self) -> Flow:
        tag = self._next()
        size = self.rng.choice([70_000, 300_000, 2_500_000])
        refs = yield from self.api.submit(
            "big", tag, self._seconds(), size, options=self._options()
        )
        self._keep(refs, Expect(("big", tag)))

    def _big_refs(self) -> Flow:
        tag, inside = self._next(), self._plain_some()
        refs = yield from self.api.submit(
            "big_with_refs", tag, [ref for ref, _ in inside], options=self._options()
        )
        expect = Expect(("big_with_refs", tag), inner=[e for _, e in inside])
        self._keep(refs, expect)

    def _looks(self) -> Flow:
        tag, deps = self._next(), self._some()
        refs = yield from self.api.submit(
            "looks", tag, self._seconds(), *[ref for ref, _ in deps], options=self._options()
        )
        value = ("looks", tag, tuple(self._read(e) for _, e in deps))
        self._keep(refs, Expect(value, deps=[e for _, e in deps]))

    def _multi(self) -> Flow:
        tag, count = self._next(), self.rng.randint(2, 4)
        refs = yield from self.api.submit(
            "multi", tag, count, options=self._options(returns=count)
        )
        errors: set[str] = set()  # one is cancelled with the others
        for index, ref in enumerate(refs):
            self._keep([ref], Expect(("multi", tag, index), errors))
        del ref

    def _fails(self) -> Flow:
        tag = self._next()
        refs = yield from self.api.submit("fails", tag, self._seconds(), options=self._options())
        self._keep(refs, Expect(errors={"ValueError"}))

    def _flaky(self) -> Flow:
        tag, times, retries = self._next(), self.rng.randint(1, 3), self.rng.randint(0, 3)
        refs = yield from self.api.submit(
            "flaky", tag, times, options=self._options(retries=retries, retry_on=b"*")
        )
        if times <= retries:
            lost = {"KeyError"} if self.scenario.broken else set()
            self._keep(refs, Expect(("flaky", tag), lost, attempts={"KeyError"}))
        else:
            self._keep(refs, Expect(errors={"KeyError"}))

    def _dies(self) -> Flow:
        if self.scenario.kind == "calm":
            return
        yield Sleep(0.0)
        tag, times, retries = self._next(), self.rng.randint(1, 2), self.rng.randint(0, 3)
        self.scenario.break_something(f"task {tag} dies {times} times")
        refs = yield from self.api.submit(
            "dies", tag, times, options=self._options(retries=retries)
        )
        self._keep(refs, Expect(("dies", tag), {"WorkerCrashedError"}))

    def _impossible(self) -> Flow:
        tag = self._next()
        refs = yield from self.api.submit("value", tag, 0.0, options={"cpus": 500})
        self._keep(refs, Expect(errors={"TaskUnschedulableError"}))

    def _waits(self) -> Flow:
        tag, inside = self._next(), self._plain_some()
        refs = yield from self.api.submit(
            "waits", tag, [ref for ref, _ in inside], 0.2 * self.rng.random(),
            options=self._options(),
        )  # fmt: skip
        self._keep(refs, Expect(("waits", tag)))

    def _put(self) -> Flow:
        tag = self._next()
        inside = self._plain_some()
        content = ("put", tag, [ref for ref, _ in inside])
        large = self.rng.random() < 0.5
        ref = yield from self.api.put(Big(content, 90_000) if large else content)
        self._keep([ref], Expect(("put", tag), inner=[e for _, e in inside]))

    # -- actors ----------------------------------------------------------------------------

    def _actor(self) -> Flow:
        rng = self.rng
        if rng.random() < 0.1:
            handle = yield from self.api.actor("Broken")
            refs = yield from self.api.call(handle, "add", self._next())
            self._keep(refs, Expect(errors={"LookupError", "ActorDiedError"}))
            return
        deps = self._some()
        handle = yield from self.api.actor(
            "Counter", *[ref for ref, _ in deps], restarts=rng.choice([0, 0, 1, -1]),
            cpus=0.1 if self.scenario.roomy and rng.random() < 0.25 else 0,
        )  # fmt: skip
        self.handles.append((handle, Expect((), deps=[e for _, e in deps], actor=True)))

    def _call_on(
        self, handle: Handle, expect: Expect, method: str, *args: Any, more: Any = None,
        deps: list[Expect] | None = None, inner: list[Expect] | None = None,
    ) -> Flow:  # fmt: skip
        tag = self._next()
        retries = self.rng.choice([0, 0, 2])
        refs = yield from self.api.call(handle, method, tag, *args, retries=retries)
        value = (method, tag) if inner is not None else (method, tag, more)
        found = Expect(value, deps=[expect, *(deps or [])], inner=inner, call=True)
        self._keep(refs, found)
        return found

    def _call(self) -> Flow:
        if not self.handles:
            yield from self._actor()
        if self.handles:
            handle, expect = self.rng.choice(self.handles)
            method = self.rng.choice(["add", "add", "add", "fails", "make", "dies"])
            if method == "add":
                yield from self._call_on(handle, expect, "add", self._seconds())
            elif method == "fails":
                found = yield from self._call_on(handle, expect, "fails")
                found.value = MISSING
                found.errors.add("ValueError")
            elif method == "make":
                tag = self.tag + 1
                # What an actor owns goes with it, when its last handle is dropped too.
                made = [Expect(("made", tag), {"OwnerDiedError"}) for _ in range(2)]
                yield from self._call_on(handle, expect, "make", inner=made)
            elif self.scenario.kind != "calm":
                self.scenario.break_something("an actor exits")
                found = yield from self._call_on(handle, expect, "dies")
                found.value = MISSING
                found.errors.add("ActorDiedError")

    def _many_calls(self) -> Flow:
        if not self.handles:
            yield from self._actor()
        if not self.handles:
            return
        handle, expect = self.rng.choice(self.handles)
        for _ in range(self.rng.randint(2, 15)):
            deps = self._pick(1) if self.rng.random() < 0.2 else []
            deps = [one for one in deps if not one[1].call]
            args = [0.0, *(ref for ref, _ in deps)]
            more = deps[0][1].value if deps else None
            yield from self._call_on(
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

    def _hold(self) -> Flow:
        if not self.handles:
            return
        handle, expect = self.rng.choice(self.handles)
        inside = [one for one in self._plain_some() if not one[1].calls_actors()]
        yield from self._call_on(handle, expect, "hold", [ref for ref, _ in inside])
        if self.rng.random() < 0.7:
            if self.rng.random() < 0.5:
                found = yield from self._call_on(handle, expect, "open_held")
            else:
                found = yield from self._call_on(handle, expect, "give_held", inner=[])
            found.value = ANY
            found.inner = None
            found.errors |= {"ValueError", "KeyError", "TaskCancelledError", "LookupError",
                             "TaskUnschedulableError", "ActorDiedError"}  # fmt: skip

    def _calls(self) -> Flow:
        if not self.handles:
            return
        handle, expect = self.rng.choice(self.handles)
        tag, count = self._next(), self.rng.randint(1, 4)
        refs = yield from self.api.submit("calls", tag, handle, count, options=self._options())
        self._keep(refs, Expect(("calls", tag, count), deps=[expect]))

    def _remote_call_dep(self) -> Flow:
        """An actor's answer as a task's argument."""
        if not self.handles:
            return
        handle, expect = self.rng.choice(self.handles)
        refs = yield from self.api.call(handle, "add", self._next())
        more = yield from self.api.submit("looks", self._next(), 0.0, *refs)
        found = Expect(ANY, deps=[expect])
        self._keep(refs, found)
        self._keep(more, Expect(ANY, deps=[found]))

    def _named(self) -> Flow:
        rng = self.rng
        name = f"actor{rng.randint(1, 2)}"
        expect = Expect((), errors={"ActorDiedError"}, actor=True)
        try:
            if rng.random() < 0.5:
                handle = yield from self.api.actor("Counter", name=name, get_if_exists=True)
            elif rng.random() < 0.5:
                handle = yield from self.api.get_actor(name)
            else:
                handle = yield from self.api.actor("Counter", name=name)
        except ValueError:
            return
        # It may be the other driver's, which drops it when it likes.
        self.handles.append((handle, expect))

    def _handle_back(self) -> Flow:
        tag = self._next()
        refs = yield from self.api.submit("makes_actor", tag, options=self._options())
        try:
            values = yield from self._get(refs)
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

    def _kill(self) -> Flow:
        yield Sleep(0.0)
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
            payload = unpack(entry.value, self._api.restore)
            self._order.append((payload[1], payload[2]))
