"""Actors: a handle is given to tasks."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Log:
    def __init__(self):
        self.lines = []

    def add(self, line):
        self.lines.append(line)

    def all(self):
        return sorted(self.lines)


@ray.remote
def work(log, i):
    ray.get(log.add.remote(f"line {i}"))


log = Log.remote()
ray.get([work.remote(log, i) for i in range(3)])
print(ray.get(log.all.remote()))
ray.shutdown()
