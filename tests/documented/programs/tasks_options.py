"""Tasks: options of one call."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(num_cpus=1)
def assigned():
    return ray.get_runtime_context().get_assigned_resources()


print(ray.get(assigned.remote()), ray.get(assigned.options(num_cpus=2).remote()))
ray.shutdown()
