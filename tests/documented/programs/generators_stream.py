"""Generators: items are there before their task ends."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def numbers(n):
    for i in range(n):  # noqa: UP028 - Ray takes no `yield from` of a range
        yield i


print([ray.get(ref) for ref in numbers.remote(5)])
ray.shutdown()
