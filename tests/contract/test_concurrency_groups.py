"""Actors that run several calls at once, in groups, and calls that overtake others."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from api import ray

pytestmark = pytest.mark.concurrent


class Peaks:
    """How many calls of each kind have run at once."""

    def __init__(self):
        self.now = {}
        self.most = {}
        self.lock = threading.Lock()

    def enter(self, kind):
        with self.lock:
            self.now[kind] = self.now.get(kind, 0) + 1
            self.most[kind] = max(self.most.get(kind, 0), self.now[kind])

    def leave(self, kind):
        with self.lock:
            self.now[kind] -= 1
            return self.most[kind]


def test_groups_of_threads():
    @ray.remote(concurrency_groups={"io": 2}, num_cpus=0)
    class Worker(Peaks):
        def work(self, kind):
            self.enter(kind)
            time.sleep(0.1)
            return self.leave(kind)

        @ray.method(concurrency_group="io")
        def read(self):
            return self.work("io")

        def plain(self):
            return self.work("plain")

        def same(self):
            return self.work("io by option")

    worker = Worker.remote()
    reads = [worker.read.remote() for _ in range(4)]
    plain = [worker.plain.remote() for _ in range(3)]
    assert max(ray.get(reads)) == 2
    assert max(ray.get(plain)) == 1
    moved = [worker.same.options(concurrency_group="io").remote() for _ in range(4)]
    assert max(ray.get(moved)) == 2


def test_groups_of_coroutines():
    @ray.remote(concurrency_groups={"io": 2}, num_cpus=0)
    class Worker(Peaks):
        async def work(self, kind):
            self.enter(kind)
            await asyncio.sleep(0.1)
            return self.leave(kind)

        @ray.method(concurrency_group="io")
        async def read(self):
            return await self.work("io")

        async def plain(self):
            return await self.work("plain")

    worker = Worker.remote()
    reads = [worker.read.remote() for _ in range(5)]
    plain = [worker.plain.remote() for _ in range(5)]
    assert max(ray.get(reads)) == 2
    assert max(ray.get(plain)) == 5


def test_a_full_group_holds_no_other_back():
    @ray.remote(concurrency_groups={"io": 1}, num_cpus=0)
    class Worker:
        def __init__(self):
            self.go = threading.Event()

        @ray.method(concurrency_group="io")
        def wait(self):
            return self.go.wait(60)

        def open(self):
            self.go.set()
            return True

    worker = Worker.remote()
    waits = [worker.wait.remote() for _ in range(2)]
    assert ray.get(worker.open.remote(), timeout=60)
    assert ray.get(waits, timeout=60) == [True, True]


def test_each_group_has_threads_of_its_own():
    @ray.remote(concurrency_groups={"one": 1, "two": 1}, num_cpus=0)
    class Worker:
        @ray.method(concurrency_group="one")
        def one(self):
            return threading.get_ident()

        @ray.method(concurrency_group="two")
        def two(self):
            return threading.get_ident()

        def none(self):
            return threading.get_ident()

    worker = Worker.remote()
    calls = [worker.one, worker.one, worker.two, worker.two, worker.none, worker.none]
    found = ray.get([call.remote() for call in calls])
    assert found[0::2] == found[1::2]
    assert len(set(found)) == 3


def test_a_group_that_the_class_does_not_have():
    class Worker:
        @ray.method(concurrency_group="io")
        def read(self):
            return 1

    with pytest.raises(AssertionError):
        ray.remote(Worker).remote()
    with pytest.raises(ValueError, match="concurrency_groups"):
        ray.remote(Worker).options(concurrency_groups={"io": 1})


def late(value):
    time.sleep(0.3)
    return value


class Order:
    def __init__(self):
        self.seen = []

    def add(self, value):
        self.seen.append(value)

    def all(self):
        return self.seen


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({}, ["late", "early"]),
        ({"allow_out_of_order_execution": False}, ["late", "early"]),
        ({"allow_out_of_order_execution": True}, ["early", "late"]),
        ({"max_concurrency": 2}, ["early", "late"]),
    ],
    ids=str,
)
def test_calls_whose_arguments_are_not_ready(options, order):
    actor = ray.remote(**{"num_cpus": 0, **options})(Order).remote()
    ray.get(actor.all.remote())  # it lives: else all may be ready before anything is sent
    ray.get([actor.add.remote(ray.remote(late).remote("late")), actor.add.remote("early")])
    assert ray.get(actor.all.remote()) == order


def test_calls_of_an_async_actor_overtake_others():
    @ray.remote(num_cpus=0)
    class Worker:
        def __init__(self):
            self.seen = []

        async def add(self, value):
            self.seen.append(value)
            return list(self.seen)

    actor = Worker.remote()
    ray.get(actor.__ray_ready__.remote())
    slow = actor.add.remote(ray.remote(late).remote("late"))
    assert ray.get(actor.add.remote("early"), timeout=60) == ["early"]
    assert ray.get(slow, timeout=60) == ["early", "late"]


def test_an_async_actor_cannot_keep_order():
    @ray.remote(allow_out_of_order_execution=False)
    class Worker:
        async def add(self):
            return 1

    with pytest.raises(ValueError, match="order"):
        Worker.remote()


def test_a_cancelled_call_of_a_threaded_actor():
    @ray.remote(max_concurrency=2, num_cpus=0)
    class Worker:
        def __init__(self):
            self.go = threading.Event()

        def wait(self):
            return self.go.wait(60)

        def open(self):
            self.go.set()

    worker = Worker.remote()
    call = worker.wait.remote()
    ray.wait([call], timeout=0.3)
    ray.cancel(call)
    ray.get(worker.open.remote())
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(call, timeout=60)
