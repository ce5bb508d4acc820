"""Getting started: an actor keeps a count."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Counter:
    def __init__(self):
        self.n = 0

    def add(self, amount):
        self.n += amount

    def read(self):
        return self.n


counter = Counter.remote()
for _ in range(10):
    counter.add.remote(2)
print(ray.get(counter.read.remote()))
ray.shutdown()
