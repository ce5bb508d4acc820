"""The rows of Ray's published microbenchmark (`ray microbenchmark`), by its names and definitions.

The text is ours; what each row does is what Ray's own does, so that figures
compare: https://github.com/ray-project/ray/blob/master/python/ray/_private/ray_perf.py.
"""

from __future__ import annotations

import importlib
import multiprocessing

import numpy as np
from timing import module_name, rate, wanted

ray = importlib.import_module(module_name())
HALF = max(1, multiprocessing.cpu_count() // 2)
"""Actors in the `n` rows: Ray takes half the CPUs."""


@ray.remote
def small():
    return b"ok"


@ray.remote(num_cpus=0)
class Actor:
    def small(self):
        return b"ok"

    def small_arg(self, x):
        return b"ok"

    def tasks(self, n):
        ray.get([small.remote() for _ in range(n)])


@ray.remote
class AsyncActor:
    async def small(self):
        return b"ok"

    async def small_arg(self, x):
        return b"ok"


@ray.remote(num_cpus=0)
class Client:
    def __init__(self, servers):
        self.servers = servers

    def call(self, n):
        ray.get([server.small.remote() for server in self.servers for _ in range(n)])

    def call_arg(self, n):
        x = ray.put(0)
        ray.get([server.small_arg.remote(x) for server in self.servers for _ in range(n)])


@ray.remote
def fan(actors, n):
    ray.get([actors[i % len(actors)].small.remote() for i in range(n)])


def objects():
    value = ray.put(0)
    rate("single client get calls", lambda: ray.get(value))
    rate("single client put calls", lambda: ray.put(0))

    @ray.remote
    def put_small():
        for _ in range(100):
            ray.put(0)

    rate("multi client put calls", lambda: ray.get([put_small.remote() for _ in range(10)]), 1000)

    if wanted("single client put gigabytes"):
        array = np.zeros(100 * 1024 * 1024, dtype=np.int64)
        rate("single client put gigabytes", lambda: ray.put(array), 8 * 0.1)
        del array

    @ray.remote
    def put_large():
        for _ in range(10):
            ray.put(np.zeros(10 * 1024 * 1024, dtype=np.int64))

    rate("multi client put gigabytes", lambda: ray.get([put_large.remote() for _ in range(10)]), 8)

    @ray.remote
    def many_refs():
        return [ray.put(1) for _ in range(10000)]

    if wanted("single client get object containing 10k refs"):
        many = many_refs.remote()
        rate("single client get object containing 10k refs", lambda: ray.get(many))
        del many


def tasks():
    def wait_for_each():
        left = [small.remote() for _ in range(1000)]
        fetch_local = True
        while left:
            _, left = ray.wait(left, fetch_local=fetch_local)
            fetch_local = False

    rate("single client tasks and get batch",
         lambda: ray.get([small.remote() for _ in range(1000)]))  # fmt: skip
    rate("single client wait 1k refs", wait_for_each)
    rate("single client tasks sync", lambda: ray.get(small.remote()))
    rate("single client tasks async", lambda: ray.get([small.remote() for _ in range(1000)]), 1000)

    if wanted("multi client tasks async"):
        actors = [Actor.remote() for _ in range(4)]

        def all_clients(n):
            ray.get([actor.tasks.remote(n) for actor in actors])

        rate("multi client tasks async", lambda: all_clients(10000), 40000,
             warm=lambda: all_clients(200))  # fmt: skip


def actors():
    def batch(actor):
        return lambda: ray.get([actor.small.remote() for _ in range(1000)])

    one = Actor.remote()
    rate("1:1 actor calls sync", lambda: ray.get(one.small.remote()))
    one = Actor.remote()
    rate("1:1 actor calls async", batch(one), 1000)
    one = Actor.options(max_concurrency=16).remote()
    rate("1:1 actor calls concurrent", batch(one), 1000)
    one = None
    servers = [Actor.remote() for _ in range(HALF)]
    client = Client.remote(servers)
    rate("1:n actor calls async", lambda: ray.get(client.call.remote(5000)), 5000 * HALF,
         warm=lambda: ray.get(client.call.remote(200)))  # fmt: skip
    rate("n:n actor calls async",
         lambda: ray.get([fan.remote(servers, 5000) for _ in range(4)]), 20000,
         warm=lambda: ray.get([fan.remote(servers, 200) for _ in range(4)]))  # fmt: skip
    clients = [Client.remote([server]) for server in servers]
    rate("n:n actor calls with arg async",
         lambda: ray.get([client.call_arg.remote(1000) for client in clients]),
         1000 * HALF)  # fmt: skip


def async_actors():
    one = AsyncActor.remote()
    rate("1:1 async-actor calls sync", lambda: ray.get(one.small.remote()))
    one = AsyncActor.remote()
    rate("1:1 async-actor calls async",
         lambda: ray.get([one.small.remote() for _ in range(1000)]), 1000)  # fmt: skip
    one = AsyncActor.remote()
    rate("1:1 async-actor calls with args async",
         lambda: ray.get([one.small_arg.remote(i) for i in range(1000)]), 1000)  # fmt: skip
    one = None
    servers = [AsyncActor.remote() for _ in range(HALF)]
    client = Client.remote(servers)
    rate("1:n async-actor calls async", lambda: ray.get(client.call.remote(5000)), 5000 * HALF,
         warm=lambda: ray.get(client.call.remote(200)))  # fmt: skip
    rate("n:n async-actor calls async",
         lambda: ray.get([fan.remote(servers, 5000) for _ in range(4)]), 20000,
         warm=lambda: ray.get([fan.remote(servers, 200) for _ in range(4)]))  # fmt: skip


def groups():
    placing = importlib.import_module(f"{module_name()}.util.placement_group")

    def made_and_removed():
        made = [placing.placement_group([{"custom": 0.001}]) for _ in range(100)]
        for one in made:
            one.wait(timeout_seconds=30)
        for one in made:
            placing.remove_placement_group(one)

    rate("placement group create/removal", made_and_removed, 100)


if __name__ == "__main__":
    ray.init(num_cpus=2, resources={"custom": 100})
    objects()
    tasks()
    actors()
    async_actors()
    groups()
    ray.shutdown()
