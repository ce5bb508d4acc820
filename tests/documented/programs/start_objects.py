"""Getting started: an object is stored once and used twice."""

import importlib
import sys

import numpy as np

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def total(values, scale):
    return float(np.sum(values)) * scale


values = ray.put(np.ones(100_000))
print(ray.get([total.remote(values, scale) for scale in (1, 2)]))
ray.shutdown()
