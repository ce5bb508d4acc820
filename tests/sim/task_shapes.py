"""What a simulated driver launches as tasks, and puts; what each must turn out to be."""

from __future__ import annotations

from typing import Any

from sim.checking import Checker
from sim.expect import Expect, Live
from sim.threads import sleep
from sim.values import Big


class TaskShapes(Checker):
    """Shapes of work that are tasks and values."""

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
        if not self.scenario.crashes:
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
