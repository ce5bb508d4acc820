"""Actors: made if nobody has the name yet."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Shared:
    def __init__(self):
        self.n = 0

    def next(self):
        self.n += 1
        return self.n


for _ in range(2):
    kept = Shared.options(name="shared", get_if_exists=True, lifetime="detached").remote()
    print(ray.get(kept.next.remote()))
ray.kill(kept)
ray.shutdown()
