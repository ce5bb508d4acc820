"""Tasks: what is ready first is used first."""

import importlib
import pathlib
import sys
import tempfile
import time

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


folder = pathlib.Path(tempfile.mkdtemp())


@ray.remote
def work(i):
    while not (folder / str(i)).exists():
        time.sleep(0.02)
    return i


rest = [work.remote(i) for i in (2, 0, 1)]
order = []
while rest:
    (folder / str(len(order))).touch()
    ready, rest = ray.wait(rest)
    order += ray.get(ready)
print(order)
ray.shutdown()
