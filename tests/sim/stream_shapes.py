"""What a simulated driver launches as streams, how it reads them, and how it leaves them."""

from __future__ import annotations

from typing import Any

from sim.checking import Checker, Reading
from sim.expect import Expect

from nbray import session


class StreamShapes(Checker):
    """Shapes of work that yields: every return once and in order, or a named error at the end."""

    def _stream(self) -> Any:
        rng, tag = self.rng, self._next()
        count, broken = rng.choice([0, 1, 3, 8, 40]), rng.random() < 0.2
        seconds = rng.choice([0.0, 0.0, 0.0003, 0.01])
        size = rng.choice([0, 0, 0, 90_000])
        most = rng.choice([0, 0, 1, 3])
        handle = None
        end = Expect(errors={"ValueError"} if broken else set())
        if self.handles and rng.random() < 0.3:
            handle, made = rng.choice(self.handles)
            end.deps = [made]
        stream = self.api.stream(
            "yields", tag, count, seconds, size, broken, most=most, handle=handle,
            options=self._options(),
        )  # fmt: skip
        reading = Reading(stream, tag, count, end, holds=handle is None)
        self.streams.append(reading)
        self.cells.setdefault(session.cell.get(), []).append(end)
        if handle is not None and most:
            self._read_on(reading, 1000)  # other calls wait behind it

    def _read_some(self) -> Any:
        if self.streams:
            reading = self.rng.choice(self.streams)
            if self.rng.random() < 0.3:
                self.api.engine.wait([reading.stream._peek()], 1, 0.05 * self.rng.random(), True)
            self._read_on(reading, self.rng.randint(1, 20))

    def _leave(self) -> Any:
        """Drop one unread, or cancel it."""
        if not self.streams:
            return
        reading = self.rng.choice(self.streams)
        if self.rng.random() < 0.5:
            self.streams.remove(reading)
            return
        reading.end.errors.add("TaskCancelledError")
        self.api.cancel(reading.stream._generator_ref)

    def _read_on(self, reading: Reading, most: int) -> None:
        stream = reading.stream
        for _ in range(most):
            self.waits_since = self.world.now
            try:
                ref = next(stream)
            except StopIteration:
                self._over(reading)
                return
            finally:
                self.waits_since = float("inf")
            last = ref == stream._generator_ref
            whole = ("yields", reading.tag, reading.taken)
            if last or reading.taken >= reading.count:
                self._verify((ref, reading.end))
                self._over(reading, failed=True)
                return
            reading.taken += 1
            held = reading.holds and reading.taken % 4 == 0
            inner = [Expect(("put", reading.tag))] if held else None
            self._keep([ref], Expect(whole, inner=inner))
            del ref

    def _over(self, reading: Reading, failed: bool = False) -> None:
        if reading in self.streams:
            self.streams.remove(reading)
        stopped = "TaskCancelledError" in reading.end.errors
        whole = reading.taken == reading.count and "ValueError" not in reading.end.errors
        full = "ObjectStoreFullError" in self.scenario.more_errors  # its last value says so
        if not (failed or whole or stopped or full):
            self.world.fail(
                f"stream {reading.tag} gave {reading.taken} of {reading.count} and no error"
            )

    def _reads(self) -> Any:
        tag, count = self._next(), self.rng.choice([1, 5, 30])
        most = self.rng.choice([0, 1, 4])
        refs = self.api.submit(
            "reads", tag, count, most, self.rng.choice([0.0, 0.001]), options=self._options()
        )
        found = count // 2 + 1 if tag % 2 else count
        self._keep(refs, Expect(("reads", tag, found)))
