"""`python -m tests.mutants.trial SEEDS SECONDS` (a change as JSON on standard input): is it caught?

Ends with 0 if nobody noticed, else prints who did. Rule: the change is made as the module is
imported; no file is touched.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import io
import os
import resource
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutants.drawing import Change, changed

ROOT = Path(__file__).resolve().parents[2]
CORE = "tests/unit/runtime/core"
MEMORY = 3 << 30


class Changed(importlib.machinery.SourceFileLoader):
    """Loads a module from a source with the change."""

    change: Change

    def get_data(self, path: str) -> bytes:
        data = super().get_data(path)
        if path == str(ROOT / self.change.file):
            return changed(data.decode(), self.change).encode()
        return data

    def get_code(self, fullname: str) -> object:
        # Never from, and never into, the folder of compiled modules.
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class Finder(importlib.machinery.PathFinder):
    """Finds the module that is changed."""

    name = ""

    @classmethod
    def find_spec(cls, fullname: str, path: object = None, target: object = None) -> object:
        if fullname != cls.name:
            return None
        file = str(ROOT / Changed.change.file)
        return importlib.machinery.ModuleSpec(fullname, Changed(fullname, file), origin=file)


def by_units() -> bool:
    import pytest

    os.chdir(ROOT)
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        status = pytest.main(
            ["-x", "-q", "-p", "no:cacheprovider", "--timeout=0", "-W", "ignore", CORE]
        )
    return bool(status)


def by_simulation(seeds: int) -> str:
    from sim.scenario import Scenario
    from sim.test_sim import SEEDS
    from sim.world import SimFailure

    for seed in range(seeds):
        for kind, count in SEEDS.items():
            if seed < count:
                try:
                    Scenario(seed, kind).run()
                except (SimFailure, AssertionError):
                    return f"{kind} {seed}"
    return ""


def main() -> int:
    Changed.change = msgspec.json.decode(sys.stdin.buffer.read(), type=Change)
    Finder.name = Changed.change.file.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, Finder)
    seconds = int(sys.argv[2])  # what does not end is caught
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        if by_units():
            print("unit tests")
            return 1
        caught = by_simulation(int(sys.argv[1]))
    except Exception as error:  # anything that breaks has noticed
        print(f"{type(error).__name__}")
        return 1
    if caught:
        print(f"simulation ({caught})")
    return bool(caught)


if __name__ == "__main__":
    sys.exit(main())
