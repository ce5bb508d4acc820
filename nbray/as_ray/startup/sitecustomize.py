"""Run at the start of each Python under `nbray run --as-ray`, whose PYTHONPATH has this folder.

Owns a finder that gives way to the one of `nbray.as_ray` when `ray` is imported, so that a process
which never does pays next to nothing. Rule: what else is called sitecustomize runs as well.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

HERE = os.path.dirname(os.path.abspath(__file__))


class Waiting:
    """Waits for the first import of `ray`."""

    gives_ray = True

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        """The spec of `ray`, which is nbray; None where nbray cannot be imported."""
        if name != "ray":
            return None
        try:
            from nbray import as_ray
        except ImportError:  # another Python's packages
            sys.meta_path.remove(self)
            return None
        as_ray.install()
        return as_ray.FINDER.find_spec(name)


def run_next() -> None:
    """Run the sitecustomize that is found without this folder, if there is one."""
    others = [entry for entry in sys.path if os.path.abspath(entry) != HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


sys.meta_path.insert(0, Waiting())
run_next()
