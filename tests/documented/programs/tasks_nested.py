"""Tasks: tasks that launch tasks, and wait for them."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def leaf(x):
    return x + 1


@ray.remote
def parent(x):
    return sum(ray.get([leaf.remote(x + i) for i in range(3)]))


print(ray.get(parent.remote(10)))
ray.shutdown()
