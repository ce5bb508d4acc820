"""Patterns: no more than four tasks are pending."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def work(i):
    return i


pending, done = [], []
for i in range(20):
    if len(pending) >= 4:
        ready, pending = ray.wait(pending)
        done += ray.get(ready)
    pending.append(work.remote(i))
done += ray.get(pending)
print(sorted(done) == list(range(20)))
ray.shutdown()
