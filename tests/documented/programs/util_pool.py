"""Helpers: a pool of actors."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
util = importlib.import_module(sys.argv[1] + ".util")
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote(num_cpus=0)
class Double:
    def double(self, x):
        return 2 * x


pool = util.ActorPool([Double.remote(), Double.remote()])
print(list(pool.map(lambda actor, x: actor.double.remote(x), [1, 2, 3, 4])))
ray.shutdown()
