"""Cells that read streams, in a real kernel: Stop, bars, receipts, and why they wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.front import Front, running

SETUP = """
import asyncio, sys, time
from pathlib import Path
%load_ext nbray
%nbray start --cpus 2
def ticks(path, seconds=0.02):
    with open(path, "a") as file:
        while True:
            file.write("."); file.flush()
            yield len(open(path).read())
            time.sleep(seconds)
async def later(path):
    with open(path, "a") as file:
        while True:
            file.write("."); file.flush()
            yield 1
            await asyncio.sleep(0.02)
task = remote(ticks)
@remote(num_cpus=0)
class Source:
    def ticks(self, path): yield from ticks(path)
    def ping(self): return "pong"
@remote(num_cpus=0)
class Later:
    async def ticks(self, path):
        async for one in later(path): yield one
    async def ping(self): return "pong"
source, events = Source.remote(), Later.remote()
nbray.get([source.ping.remote(), events.ping.remote()])
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Front]:
    with running(SETUP) as (front, _):
        yield front


FORMS = {
    "of a task": "task.remote({path!r})",
    "of a task, held back": "task.options(_generator_backpressure_num_objects=2).remote({path!r})",
    "of an actor": "source.ticks.remote({path!r})",
    "of an async actor": "events.ticks.remote({path!r})",
}
READERS = {
    "in a loop": "for ref in stream: nbray.get(ref)",
    "without waiting for values": "next(stream); time.sleep(60)",
    "in a coroutine": "async for ref in stream: await ref",
}
PAIRS = [
    ("of a task", "in a loop"), ("of a task, held back", "without waiting for values"),
    ("of an actor", "in a loop"), ("of an actor", "in a coroutine"),
    ("of an async actor", "in a coroutine"), ("of an async actor", "without waiting for values"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "reader"), PAIRS)
def test_stop_ends_who_yields(kernel: Front, tmp_path: Path, form: str, reader: str) -> None:
    path = tmp_path / "ticks"
    made = FORMS[form].format(path=str(path))
    answer = kernel.start(f"stream = {made}\nnext(stream); print('go')\n{READERS[reader]}")
    kernel.until(lambda _: "go" in answer.streams)
    kernel.manager.interrupt_kernel()
    kernel.finish(answer)
    assert answer.error in {"KeyboardInterrupt", "CancelledError"}, answer.traceback
    deadline, count = time.monotonic() + 1, -1
    while (now := len(path.read_bytes())) != count:
        assert time.monotonic() < deadline, "it goes on"
        count = now
        time.sleep(0.1)  # five values
    pongs = kernel.run("nbray.get([source.ping.remote(), events.ping.remote()])")
    assert pongs.result == "['pong', 'pong']", "the actors live"


def test_the_bar_says_how_much_has_come(kernel: Front) -> None:
    answer = kernel.run(
        "def few():\n"
        "    for index in range(60):\n"
        "        time.sleep(0.03)\n"
        "        yield index\n"
        "[nbray.get(ref) for ref in remote(few).remote()][-1]"
    )
    assert answer.result == "59"
    bar = next(one["text/plain"] for one in answer.displays.values())
    assert "1 of 1" in bar
    assert "60 values" in bar
    receipt = kernel.run("%nbray receipt").shown
    assert "1 task" in receipt
    assert "60 values yielded" in receipt


def test_why_one_that_is_held_back_waits(kernel: Front) -> None:
    answer = kernel.run(
        "from nbray import session\n"
        "def paced():\n"
        "    yield from [1, 2, 3, 4, 5]\n"
        "made = remote(paced).options(_generator_backpressure_num_objects=3).remote()\n"
        "with session.watcher()(): time.sleep(1.7)\n"
        "cells = session.current().insight.snapshot().cells\n"
        "[line for one in cells.values() for line in one.waiting]"
    )
    assert "paced pauses for its reader; 3 of its values are not taken yet" in answer.result
    shown = [one["text/plain"] for one in answer.displays.values()]
    assert any("pauses for its reader" in text for text in shown), shown
    assert kernel.run("len(list(made))").result == "5"
