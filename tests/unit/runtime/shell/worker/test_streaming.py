"""Generators in a worker: what they yield, when they stop, how they wait for room and readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from client_play import ME, WORKER

from nbray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError
from nbray.options import DYNAMIC, STREAMING
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.runtime.shell.worker.streaming import FULL_SECONDS, Streaming
from nbray.wire import messages as m

KEY = (ME, 1 << 61)


class Clock:
    """A loop in which waiting takes no time; *meanwhile* happens then."""

    def __init__(self) -> None:
        self.time = 0.0
        self.meanwhile: Any = lambda: None

    def now(self) -> float:
        return self.time

    def wait(self, done: Any, deadline: float | None, _event: Any, _start: Any = None) -> bool:
        self.meanwhile()
        self.time = max(self.time, deadline or self.time)
        return bool(done())

    def locked(self, action: Any) -> None:
        action()


class Host:
    """What runs tasks, as far as generators need it."""

    _node_name, _pid = "here", 1

    def __init__(self) -> None:
        self.brain = WorkerBrain(ClientBrain(WORKER, 1, lambda *_: b""))
        self.loop = Clock()
        self.memory: Any = self
        self.engine = None
        self.returns: Any = self
        self.flushed = 0
        self.full = 0
        """How often the store is full from now on."""
        self.refuses: type[RayError] = ObjectStoreFullError
        self.size = 0
        """Bytes that each value takes in the store; 0: it does not lie there."""

    def flush(self) -> None:
        self.flushed += 1

    def _task_name(self, item: Item) -> str:
        return item.spec.name

    def yielded(self, _item: Item, value: Any, _what: str) -> tuple[bytes, m.Value | None]:
        if self.full:
            self.full -= 1
            raise self.refuses("full")
        if self.size:
            return b"", m.Value(b"", [m.Slot(1, 1, 0, self.size, value)])
        return str(value).encode(), None


def item(returns: int = STREAMING, most: int = 0) -> Item:
    spec = m.Spec(1, b"f", "f", returns, b"", "", ME, 0, {}, most_unread=most)
    return Item(*KEY[:1], spec, KEY[1], b"", None, [], 1.0)


def numbers(count: int, ended: list[int]) -> Iterator[int]:
    try:
        yield from range(count)
    finally:
        ended.append(count)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def streaming(host: Host) -> Streaming:
    made: Any = host
    return Streaming(made)


def given(host: Host) -> list[tuple[int, bytes]]:
    return [(one.index, one.data) for one in host.brain.yields.waiting]


def test_values_are_numbered_and_the_first_leaves_at_once(host: Host, streaming: Streaming) -> None:
    host.loop.time = 5.0
    streaming.run(item(), numbers(3, []))
    assert given(host) == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert host.flushed == 1  # the others follow within a millisecond
    (own,) = streaming.values(item())
    assert not own.refs


def test_it_stops_where_it_yields_when_nobody_reads(host: Host, streaming: Streaming) -> None:
    ended: list[int] = []
    host.brain.yields.closed([KEY])
    streaming.run(item(), numbers(100, ended))
    assert given(host) == [(0, b"0")]
    assert ended == [100]
    assert not host.brain.yields.unread


def test_a_cancelled_one_is_interrupted_where_it_yields(host: Host, streaming: Streaming) -> None:
    ended: list[int] = []
    host.brain.cancelled.add(KEY)
    with pytest.raises(KeyboardInterrupt):
        streaming.run(item(), numbers(100, ended))
    assert ended == [100]
    error = m.Value(b"cancelled", failed=True)
    assert streaming.values(item(), error, cancelled=True) == [error]
    assert not streaming._counts


def test_it_pauses_until_enough_was_taken(host: Host, streaming: Streaming) -> None:
    seen: list[int] = []

    def taken() -> None:
        count = len(host.brain.yields.waiting)
        seen.append(count)
        host.brain.yields.went_on(m.Taken(ME, KEY[1], count))

    host.loop.meanwhile = taken
    streaming.run(item(most=2), numbers(5, []))
    assert seen == [2, 4]
    assert len(given(host)) == 5
    assert not host.brain.yields.taken


def test_a_value_waits_for_room(host: Host, streaming: Streaming) -> None:
    def values() -> Iterator[str]:
        yield "a"
        host.full = 3
        yield "b"

    streaming.run(item(), values())
    assert given(host) == [(0, b"a"), (1, b"b")]
    host.full = 10_000
    host.brain.yields.waiting.clear()
    with pytest.raises(ObjectStoreFullError):
        streaming.run(item(), iter("a"))  # there is nothing that could be read
    before = host.loop.time
    host.full = 0

    def more() -> Iterator[str]:
        yield "a"
        host.full = 10_000
        yield "b"

    with pytest.raises(ObjectStoreFullError):
        streaming.run(item(), more())
    assert host.loop.time - before == pytest.approx(FULL_SECONDS, abs=0.1)


def test_an_error_counts_as_a_value(host: Host, streaming: Streaming) -> None:
    error = m.Value(b"broken", failed=True)
    assert streaming.values(item(), error) == [error]  # it had not begun
    streaming.run(item(DYNAMIC), numbers(2, []))
    own, last = streaming.values(item(DYNAMIC), error)
    assert own.refs == [(ME, KEY[1] + 1 + index) for index in range(3)]
    assert last is error


def test_what_is_no_generator_says_so(streaming: Streaming) -> None:
    with pytest.raises(TypeError, match="f streams its returns, but is no generator"):
        streaming.run(item(), 3)


def test_it_pauses_when_much_in_the_store_is_not_taken(host: Host, streaming: Streaming) -> None:
    seen: list[int] = []

    def taken() -> None:
        count = len(host.brain.yields.waiting)
        seen.append(count)
        host.brain.yields.went_on(m.Taken(ME, KEY[1], count - 1))

    host.loop.meanwhile, host.size, streaming.most_unread = taken, 100, 300
    streaming.run(item(), numbers(8, []))
    assert seen == [3, 5, 7]
    seen.clear()
    host.brain.yields.waiting.clear()
    streaming.run(item(DYNAMIC), numbers(8, []))
    assert not seen  # nobody takes those one by one


def test_a_full_disk_is_waited_for_as_long_as_its_own_is_not_read(
    host: Host, streaming: Streaming
) -> None:
    def values() -> Iterator[int]:
        yield 1
        host.full, host.refuses = 1000, OutOfDiskError
        yield 2

    host.size = 100
    streaming.run(item(), values())
    assert host.loop.time > 2 * FULL_SECONDS
    assert len(host.brain.yields.waiting) == 2

    def more() -> Iterator[int]:
        yield 1
        host.brain.yields.went_on(m.Taken(ME, KEY[1], 1))
        host.full = 1000
        yield 2

    with pytest.raises(OutOfDiskError):
        streaming.run(item(), more())
