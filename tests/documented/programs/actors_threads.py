"""Actors: several threads with max_concurrency."""

import importlib
import sys
import threading

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(max_concurrency=3)
class Barrier:
    def __init__(self):
        self.barrier = threading.Barrier(3)

    def meet(self):
        self.barrier.wait(30)
        return "together"


actor = Barrier.remote()
print(ray.get([actor.meet.remote() for _ in range(3)]))
ray.shutdown()
