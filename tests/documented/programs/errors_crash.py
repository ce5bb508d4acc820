"""Fault tolerance: a worker that crashes."""

import importlib
import os
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(max_retries=0)
def crash():
    os._exit(1)


try:
    ray.get(crash.remote())
except ray.exceptions.WorkerCrashedError as error:
    print(type(error).__name__)
ray.shutdown()
