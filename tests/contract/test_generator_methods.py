"""Generator methods of actors: plain, asynchronous, threaded."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from api import ray


@ray.remote(num_cpus=0)
class Counts:
    """Yields numbers, and remembers how far it came."""

    def __init__(self):
        self.last = -1

    def each(self, n, seconds=0.0):
        for index in range(n):
            self.last = index
            yield index
            time.sleep(seconds)

    @ray.method(num_returns=2)
    def pair(self):
        yield "a"
        yield "b"

    def fails(self):
        yield 1
        raise KeyError("broken")

    def how_far(self):
        return self.last

    def dies(self):
        yield 1
        time.sleep(0.1)
        os._exit(1)


@ray.remote(num_cpus=0)
class Later:
    """An actor with an event loop."""

    async def each(self, n, seconds=0.0):
        for index in range(n):
            yield index
            await asyncio.sleep(seconds)

    async def fails(self):
        yield 1
        raise KeyError("broken")

    def plain(self, n):
        for index in range(n):  # noqa: UP028 - through `yield from` Ray sends into it
            yield index

    async def ping(self):
        return "pong"


def test_a_generator_method_streams():
    actor = Counts.remote()
    stream = actor.each.remote(3)
    assert isinstance(stream, ray.ObjectRefGenerator)
    assert ray.get(list(stream)) == [0, 1, 2]
    assert ray.get(actor.how_far.remote()) == 2
    first, last = actor.fails.remote()
    assert ray.get(first) == 1
    with pytest.raises(KeyError):
        ray.get(last)


def test_calls_behind_a_stream_wait_for_its_end():
    actor = Counts.remote()
    stream = actor.each.remote(5)
    assert ray.get(actor.how_far.remote()) == 4
    assert ray.get(list(stream)) == [0, 1, 2, 3, 4]


def test_a_number_of_returns():
    actor = Counts.remote()
    assert ray.get(actor.pair.remote()) == ["a", "b"]
    assert ray.get(actor.each.options(num_returns=3).remote(3)) == [0, 1, 2]
    assert ray.get(list(actor.pair.options(num_returns="streaming").remote())) == ["a", "b"]
    with pytest.raises(ValueError, match="can only be used with generator"):
        actor.how_far.options(num_returns="streaming").remote()


@pytest.mark.filterwarnings("ignore")
def test_dynamic_returns():
    items = ray.get(Counts.remote().each.options(num_returns="dynamic").remote(2))
    assert [ray.get(one) for one in items] == [0, 1]


def test_asynchronous_generators():
    actor = Later.remote()
    assert ray.get(list(actor.each.remote(3))) == [0, 1, 2]
    assert ray.get(list(actor.plain.remote(3))) == [0, 1, 2]
    first, last = actor.fails.remote()
    assert ray.get(first) == 1
    with pytest.raises(KeyError):
        ray.get(last)
    assert ray.get(actor.ping.remote()) == "pong"


@pytest.mark.concurrent
def test_asynchronous_generators_take_turns():
    actor = Later.remote()
    one, other = actor.each.remote(10_000, 0.001), actor.each.remote(3, 0.001)
    assert ray.get(next(one)) == 0
    assert ray.get(list(other)) == [0, 1, 2]
    assert ray.get(actor.ping.remote()) == "pong"
    assert not one.is_finished()
    ray.cancel(one)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(list(one)[-1])
    assert ray.get(actor.ping.remote()) == "pong"


@pytest.mark.concurrent
def test_back_pressure_in_an_event_loop():
    actor = Later.remote()
    stream = actor.each.options(_generator_backpressure_num_objects=2).remote(6)
    assert ray.get(next(stream)) == 0
    assert ray.get(actor.ping.remote()) == "pong"
    assert ray.get(list(stream)) == [1, 2, 3, 4, 5]


@pytest.mark.concurrent
def test_streams_of_a_threaded_actor():
    actor = Counts.options(max_concurrency=3).remote()
    streams = [actor.each.remote(3, 0.01) for _ in range(3)]
    assert [ray.get(list(stream)) for stream in streams] == [[0, 1, 2]] * 3


@pytest.mark.concurrent
def test_cancel_leaves_the_actor(until):
    actor = Counts.remote()
    stream = actor.each.remote(10_000, 0.01)
    ray.get(next(stream))
    ray.cancel(stream)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(list(stream)[-1])
    assert ray.get(actor.how_far.remote()) < 9_999


@pytest.mark.concurrent
def test_an_actor_that_ends_on_the_way():
    actor = Counts.remote()
    stream = actor.dies.remote()
    first, last = stream
    assert ray.get(first) == 1
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(last)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(stream.completed())
    actor = Counts.remote()
    stream = actor.each.remote(10_000, 0.01)
    ray.get(next(stream))
    ray.kill(actor)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(list(stream)[-1])


def test_an_actor_wide_bound_of_unread_items():
    @ray.remote(_actor_generator_backpressure_num_objects=2, max_concurrency=2)
    class Producer:
        def __init__(self):
            self.made = 0

        def items(self):
            for number in range(5):
                self.made += 1
                yield number

        def count(self):
            return self.made

    for value in (0, -2):
        with pytest.raises(ValueError, match="backpressure"):
            Producer.options(_actor_generator_backpressure_num_objects=value).remote()
    producer = Producer.remote()
    stream = producer.items.remote()
    first = ray.get(next(stream))
    assert ray.get(producer.count.remote()) < 5
    assert [first, *(ray.get(ref) for ref in stream)] == list(range(5))
