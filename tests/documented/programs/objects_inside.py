"""Objects: references inside values stay references."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
def look(box):
    return type(box["ref"]).__name__, ray.get(box["ref"])


print(ray.get(look.remote({"ref": ray.put("inside")})))
ray.shutdown()
