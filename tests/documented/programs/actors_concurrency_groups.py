"""Actors: groups of methods with limits of their own."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(concurrency_groups={"io": 2, "compute": 1})
class Worker:
    @ray.method(concurrency_group="io")
    async def read(self):
        return "read"

    @ray.method(concurrency_group="compute")
    async def compute(self):
        return "computed"

    async def other(self):
        return "other"


worker = Worker.remote()
print(ray.get([worker.read.remote(), worker.compute.remote(), worker.other.remote()]))
print(ray.get(worker.other.options(concurrency_group="io").remote()))
ray.shutdown()
