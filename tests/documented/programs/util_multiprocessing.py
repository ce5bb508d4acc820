"""Helpers: multiprocessing's Pool."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
multiprocessing = importlib.import_module(sys.argv[1] + ".util.multiprocessing")
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


def square(x):
    return x * x


with multiprocessing.Pool(2) as pool:
    print(pool.map(square, range(5)))
    print(pool.apply(square, (7,)))
ray.shutdown()
