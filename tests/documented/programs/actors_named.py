"""Actors: found by name."""

import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Settings:
    def get(self):
        return "blue"


kept = Settings.options(name="settings").remote()
print(ray.get(ray.get_actor("settings").get.remote()))
try:
    ray.get_actor("nobody")
except ValueError:
    print("no such actor")
ray.shutdown()
