"""Patterns: get and the next work overlap."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Queue:
    def __init__(self):
        self.items = list(range(5))

    def take(self):
        return self.items.pop(0) if self.items else None


queue = Queue.remote()
ahead = queue.take.remote()
taken = []
while (item := ray.get(ahead)) is not None:
    ahead = queue.take.remote()
    taken.append(item)
print(taken)
ray.shutdown()
