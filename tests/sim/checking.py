"""What every part of a simulated driver's program needs: chance, its references, their checking.

Owns what is live and whether it turns out as expected. Does not own what is launched
(`task_shapes`, `actor_shapes`, `drive`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.api import Api
from sim.expect import Expect, Live
from sim.programs import plain
from sim.threads import sleep
from sim.values import Big, Handle
from sim.world import SimFailure, who

from nbray import session
from nbray.exceptions import GetTimeoutError

if TYPE_CHECKING:
    from sim.scenario import Scenario


class Reading:
    """A stream that is read, and how far."""

    def __init__(self, stream: Any, tag: int, count: int, end: Expect, holds: bool) -> None:
        self.stream = stream
        self.tag = tag
        self.count = count
        self.holds = holds
        """Every fourth return holds a reference."""
        self.end = end
        """What its last return is if it is an error."""
        self.taken = 0


class Checker:
    """The state of one driver's program."""

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
        self.streams: list[Reading] = []
        self.orders: dict[Any, list[tuple[int, int]]] = {}
        """Answers of each actor's calls, in the order of the calls; checked at the end."""
        self.printed: list[str] = []
        """What its tasks have printed."""
        self.cells: dict[str, list[Expect]] = {}
        """What each cell has launched, as far as its cancelling may mean that."""
        self._step = 0

    def _cut_off(self) -> bool:
        return self.world.machine(self.api.brain.node) in self.scenario.out

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
            allowed |= self.scenario.more_errors | self.scenario.ended_with_groups
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
