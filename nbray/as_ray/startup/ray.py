"""`ray` where this folder is known by `sys.path` alone, as in spawned children: nbray."""

import importlib
import sys

from nbray import as_ray

del sys.modules["ray"]  # this file, which is being imported: what is imported now is what stays
as_ray.install()
importlib.import_module("ray")
