"""Futures over references: completed once, outside the lock, and never left waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from nbray.exceptions import RaySystemError
from nbray.refs import ObjectRef
from nbray.runtime.shell.client.futures import Futures


class Bench:
    """One reference, and what a future asks of the client around it."""

    def __init__(self) -> None:
        self.waiters: list[Any] = []
        self.entry = SimpleNamespace(state=0, put_waiter=self.waiters.append)
        self.later: list[Callable[[], None]] = []
        objects = SimpleNamespace(ask=lambda _entries: [])
        self.brain = SimpleNamespace(ended="", objects=objects, pump=lambda _now: [])
        memory = SimpleNamespace(
            entries=lambda _refs: [self.entry], localize=lambda _entries: None,
            read=lambda _entry: "value",
        )  # fmt: skip
        loop = SimpleNamespace(locked=lambda action: action(), now=time.monotonic)
        outside = SimpleNamespace(later=self.later.append)
        self.futures = Futures(loop, self.brain, memory, outside)  # type: ignore[arg-type]

    def future(self) -> Any:
        return self.futures.of(ObjectRef(1, 1, None, None))  # type: ignore[arg-type]

    def run(self) -> None:
        for action in self.later:
            action()
        self.later.clear()


def test_it_completes_when_the_value_is_there() -> None:
    bench = Bench()
    future = bench.future()
    assert bench.later == []
    bench.entry.state = 1
    bench.waiters[0].settle(bench.entry)
    assert not future.done(), "only outside the lock"
    bench.run()
    assert future.result(0) == "value"
    assert bench.future() is not future
    bench.run()


def test_the_clusters_end_completes_what_waits_with_its_error() -> None:
    bench = Bench()
    first, second = bench.future(), bench.future()
    bench.brain.ended = "it was stopped"
    bench.futures.end()
    bench.run()
    for future in (first, second, bench.future()):
        bench.run()
        with pytest.raises(RaySystemError, match="has ended: it was stopped"):
            future.result(0)


def test_a_value_that_comes_with_the_end_is_given_once() -> None:
    bench = Bench()
    future = bench.future()
    bench.entry.state = 1
    bench.waiters[0].settle(bench.entry)
    bench.futures.end()
    assert len(bench.later) == 1
    bench.run()
    assert future.result(0) == "value"


def test_a_cancelled_one_is_let_be() -> None:
    bench = Bench()
    future = bench.future()
    assert future.cancel()
    bench.futures.end()
    bench.run()
    assert future.cancelled()
