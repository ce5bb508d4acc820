"""Tasks: a get that does not wait for ever."""

import importlib
import sys
import time

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def slow():
    time.sleep(1.5)
    return "done"


ref = slow.remote()
try:
    ray.get(ref, timeout=0.1)
except ray.exceptions.GetTimeoutError:
    print("not yet")
print(ray.get(ref))
ray.shutdown()
