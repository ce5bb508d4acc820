"""Fault tolerance: an actor that dies is made again."""

import importlib
import os
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(max_restarts=1, max_task_retries=1)
class Fragile:
    def __init__(self):
        self.n = 0

    def add(self):
        self.n += 1
        if self.n == 3 and not ray.get_runtime_context().was_current_actor_reconstructed:
            os._exit(1)
        return self.n


actor = Fragile.remote()
print([ray.get(actor.add.remote()) for _ in range(4)])
ray.shutdown()
