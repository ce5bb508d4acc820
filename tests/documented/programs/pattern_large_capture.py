"""Anti-patterns: a large value is put once, not captured."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)

large = ray.put(list(range(100_000)))


@ray.remote
def length(values):
    return len(values)


print(ray.get([length.remote(large) for _ in range(3)]))
ray.shutdown()
