"""Screens take snapshots from their own threads, whatever the work does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import nbray
from nbray import session


@pytest.fixture(scope="module")
def engine(_nothing_left: None) -> Iterator[Any]:
    nbray.init(engine="native", num_cpus=4)
    yield session.current()
    nbray.shutdown()


def test_snapshots_while_work_comes_and_goes(engine: Any) -> None:
    over = threading.Event()
    faults: list[BaseException] = []

    def watch() -> None:
        while not over.wait(0.01):  # or the work would hardly get the interpreter
            try:
                for _ in range(600):  # long enough to be interrupted within one
                    engine.insight.snapshot()
            except Exception as error:
                faults.append(error)
                return

    @nbray.remote(num_cpus=0.5)
    def one(x: int) -> int:
        return x

    @nbray.remote
    class Echo:
        def say(self, x: int) -> int:
            return x

    threads = [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for cell in range(40):
            session.cell.set(f"cell {cell}")
            echo = Echo.remote()
            assert sum(nbray.get([one.remote(1) for _ in range(100)])) == 100
            assert nbray.get(echo.say.remote(cell)) == cell
    finally:
        session.cell.set("")
        over.set()
        for thread in threads:
            thread.join()
    assert faults == []
