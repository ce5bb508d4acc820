"""Tasks: what is ready first is used first."""

import importlib
import sys
import time

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def work(i):
    time.sleep(0.4 * i)
    return i


rest = [work.remote(i) for i in (2, 0, 1)]
order = []
while rest:
    ready, rest = ray.wait(rest)
    order += ray.get(ready)
print(order)
ray.shutdown()
