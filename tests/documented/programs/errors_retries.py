"""Fault tolerance: some errors are tried again."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Attempts:
    def __init__(self):
        self.n = 0

    def next(self):
        self.n += 1
        return self.n


@ray.remote(max_retries=3, retry_exceptions=[KeyError])
def flaky(attempts):
    n = ray.get(attempts.next.remote())
    if n < 3:
        raise KeyError(n)
    return n


print(ray.get(flaky.remote(Attempts.remote())))
ray.shutdown()
