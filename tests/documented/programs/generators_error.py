"""Generators: an error is the last item."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def numbers():
    yield 1
    raise ValueError("no more")


items = numbers.remote()
print(ray.get(next(items)))
try:
    ray.get(next(items))
except ValueError:
    print("ValueError")
ray.shutdown()
