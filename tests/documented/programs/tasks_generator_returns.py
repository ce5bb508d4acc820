"""Tasks: a generator fills a fixed number of returns."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(num_returns=3)
def parts():
    for i in range(3):
        yield i * 10


print([ray.get(ref) for ref in parts.remote()])
ray.shutdown()
