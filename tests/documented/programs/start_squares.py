"""Getting started: a task for each number."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def square(x):
    return x * x


print(ray.get([square.remote(i) for i in range(5)]))
ray.shutdown()
