"""Objects: arrays come back read-only."""

import importlib
import sys

import numpy as np

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)

array = ray.get(ray.put(np.zeros(1000)))
try:
    array[0] = 1
except ValueError:
    print("read-only")
mine = array.copy()
mine[0] = 1
print(mine[0], array[0])
ray.shutdown()
