"""Actors: one that ends itself."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Actor:
    def leave(self):
        ray.actor.exit_actor()


actor = Actor.remote()
try:
    ray.get(actor.leave.remote())
except ray.exceptions.RayActorError:
    print("left")
ray.shutdown()
