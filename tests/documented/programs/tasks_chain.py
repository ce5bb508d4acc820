"""Tasks: results are arguments of others, without a get between."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def grow(x):
    return [*x, len(x)]


ref = ray.put([])
for _ in range(4):
    ref = grow.remote(ref)
print(ray.get(ref))
ray.shutdown()
