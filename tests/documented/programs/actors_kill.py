"""Actors: killed, and what its callers see."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Actor:
    def ping(self):
        return "pong"


actor = Actor.remote()
print(ray.get(actor.ping.remote()))
ray.kill(actor)
try:
    while True:  # a call may still arrive before its end
        ray.get(actor.ping.remote())
except ray.exceptions.RayActorError:
    print("dead")
ray.shutdown()
