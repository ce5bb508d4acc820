"""Tasks: a running one is cancelled."""

import importlib
import sys
import time

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def forever():
    while True:
        time.sleep(0.01)


ref = forever.remote()
time.sleep(1)
ray.cancel(ref)
try:
    ray.get(ref)
except ray.exceptions.TaskCancelledError:
    print("cancelled")
ray.shutdown()
