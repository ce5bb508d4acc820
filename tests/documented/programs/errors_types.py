"""Fault tolerance: an error has its own class."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def divide(a, b):
    return a / b


try:
    ray.get(divide.remote(1, 0))
except ZeroDivisionError as error:
    print(isinstance(error, ray.exceptions.RayTaskError), "division by zero" in str(error))
ray.shutdown()
