"""Scheduling: resources of one's own."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)

print(ray.cluster_resources()["CPU"])


@ray.remote(num_cpus=0.5)
def half():
    return ray.get_runtime_context().get_assigned_resources()


print(ray.get(half.remote()))
ray.shutdown()
