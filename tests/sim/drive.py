"""What a simulated driver does: a random program whose every result is known beforehand.

Owns the program's course and the notebook's part in it. Does not own what is launched
(`task_shapes`, `actor_shapes`), its checking (`checking`), faults or the end (`scenario`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from details import EVERYTHING
from sim.actor_shapes import ActorShapes
from sim.api import Api
from sim.expect import Expect
from sim.group_shapes import GroupShapes
from sim.programs import plain
from sim.stream_shapes import StreamShapes
from sim.task_shapes import TaskShapes
from sim.threads import sleep, thread
from sim.values import Big
from sim.world import who

from nbray import session
from nbray.exceptions import ObjectStoreFullError, RaySystemError
from nbray.unraised_exceptions import OutOfDiskError

if TYPE_CHECKING:
    from sim.scenario import Scenario


class Drive(TaskShapes, ActorShapes, StreamShapes, GroupShapes):
    """One driver's random program."""

    def __init__(self, scenario: Scenario, api: Api, count: int) -> None:
        super().__init__(scenario, api, count)
        self.shapes: list[Callable[[], Any]] = [
            self._value, self._value, self._value, self._combine, self._combine, self._opens,
            self._nested, self._spawn, self._pass_on, self._relay, self._big, self._big_refs,
            self._looks, self._multi, self._fails, self._flaky, self._dies, self._put, self._burst,
            self._actor, self._call, self._call, self._call, self._many_calls, self._calls,
            self._hold, self._named, self._handle_back, self._impossible, self._waits, self._kill,
            self._remote_call_dep, self._hasty, self._impatient, self._stopped, self._look_around,
            self._cancel_cell, self._stream, self._read_some, self._read_some, self._leave,
            self._reads,
        ]  # fmt: skip
        if scenario.kind in ("disk", "leaves"):
            self.shapes += 3 * [self._big, self._big_refs, self._put]
        self.groups = []
        if scenario.grouped:
            self.shapes += 2 * [
                self._group, self._in_group, self._in_group, self._in_group, self._captured,
                self._actor_in_group, self._makes_group, self._end_some_group, self._named_group,
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
        self.streams.clear()

    def _run(self) -> Any:
        rng = self.rng
        self.api.engine.cells.on_output(lambda event: self.printed.append(event.text))
        for _ in range(self.count):
            self._step += 1
            if rng.random() < 0.1:
                session.cell.set(rng.choice(["", "one", "two"]))
            try:
                rng.choice(self.shapes)()
            except (ObjectStoreFullError, OutOfDiskError):
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
                force = self.scenario.crashes and rng.random() < 0.3
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
        while self.streams:
            self._read_on(self.streams[-1], 1000)
        rng.shuffle(self.live)
        while self.live:
            live = self.live.pop()
            self._verify(live)
            del live
        self.handles.clear()
        if self.scenario.kind == "disk":
            self._work_with_room_again()
        for answers in self.orders.values():
            if answers != sorted(answers):
                self.world.fail(f"an actor's calls ran out of order: {answers}")

    def _work_with_room_again(self) -> None:
        """When the disk takes something again, so does the store, at once."""
        faults = self.scenario.faults
        faults.budget = 0
        while faults.active:
            sleep(1.0)
        for _ in range(4):
            ref = self.api.put(Big(("put", 0), 90_000))
            (made,) = self.api.submit("big", 0, 0.0, 120_000)
            assert plain(self._get([ref, made])) == (("put", 0), ("big", 0))
            self.live.append((ref, Expect(("put", 0))))  # so that not all of them fit
        self.live.clear()

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
        try:
            self.rng.choice(
                [self._impatient, self._put, self._named, self._value, self._handle_back]
            )()
        except KeyboardInterrupt:
            pass
        finally:  # also where there is no room for what is put
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
            expect.may_be_cancelled()
        force = self.scenario.crashes and self.rng.random() < 0.3
        if force:
            self.scenario.break_something(f"cell {cell!r} is cancelled with force")
        count = cells.cancel(cell, force)
        left, view = cells.unfinished(cell), cells.view(cell)
        if max(count, left) > (view.submitted if view is not None else 0):
            self.world.fail(f"cell {cell!r} had {count} tasks, has {left}, and shows {view}")
