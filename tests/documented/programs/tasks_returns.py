"""Tasks: several returns, each with a reference."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(num_returns=3)
def split():
    return "a", "b", "c"


first, second, third = split.remote()
print(ray.get(second), ray.get([third, first]))
ray.shutdown()
