"""Patterns: a tree of actors."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(num_cpus=0)
class Worker:
    def work(self, x):
        return x * x


@ray.remote(num_cpus=0)
class Supervisor:
    def __init__(self):
        self.workers = [Worker.remote() for _ in range(2)]

    def work(self, values):
        refs = [self.workers[i % 2].work.remote(value) for i, value in enumerate(values)]
        return ray.get(refs)


print(ray.get(Supervisor.remote().work.remote([1, 2, 3])))
ray.shutdown()
