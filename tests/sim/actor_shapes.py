"""What a simulated driver does with actors, and what each answer must turn out to be."""

from __future__ import annotations

from typing import Any

from sim.api import Api
from sim.checking import Checker
from sim.expect import ANY, MISSING, Expect
from sim.threads import sleep
from sim.values import Handle
from sim.world import SimFailure

from nbray.runtime.core.client.objects.objects import READY
from nbray.wire.pickling import unpack


class ActorShapes(Checker):
    """Shapes of work that are actors and their calls."""

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
            elif self.scenario.crashes:
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
        entry.put_waiter(_Note(order, self.api))

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
            if self.scenario.grouped:  # what it holds may be of groups that have ended
                found.errors |= {"TaskPlacementGroupRemoved", "WorkerCrashedError"}

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
            allowed = self.scenario.ended_with_groups | self.scenario.more_errors
            if not kinds & allowed:
                self.world.fail(f"makes_actor raised {error!r}")
            return
        self.handles.append((values[0][2], Expect((), actor=True)))

    def _kill(self) -> Any:
        sleep(0.0)
        if self.handles and self.rng.random() < 0.5:
            handle, expect = self.rng.choice(self.handles)
            expect.errors |= {"ActorDiedError", "ActorUnavailableError"}
            self.api.kill(handle, no_restart=self.rng.random() < 0.7)


class _Note:
    """A waiter that notes an actor's answer when it is there."""

    def __init__(self, order: list[tuple[int, int]], api: Api) -> None:
        self._order = order
        self._index = len(order)
        self._api = api

    def settle(self, entry: Any) -> None:
        if entry.state == READY:
            payload = unpack(entry.value, self._api.engine.memory.restore)
            self._order.append((payload[1], payload[2]))
