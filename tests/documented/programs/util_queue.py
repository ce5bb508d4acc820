"""Helpers: a queue between tasks."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
queue = importlib.import_module(sys.argv[1] + ".util.queue")
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def produce(items):
    for i in range(3):
        items.put(i)


items = queue.Queue(maxsize=10)
ray.get(produce.remote(items))
print([items.get() for _ in range(3)], items.empty())
try:
    items.get_nowait()
except queue.Empty:
    print("empty")
ray.shutdown()
