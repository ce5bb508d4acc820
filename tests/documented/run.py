"""Runs the programs of this folder over a module and prints what each printed.

    python tests/documented/run.py nbray [PROGRAM ...]

Each program is a whole one: it has the module's name as its first argument, starts and ends a
cluster of its own. They run one after another in this process, each as `__main__`. Only what they
print themselves is printed here; what the cluster says beside it goes to stderr.
"""

from __future__ import annotations

import functools
import os
import runpy
import sys
import warnings
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent / "programs"

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    own, sys.stdout = functools.partial(print, file=sys.stdout, flush=True), sys.stderr
    name, *wanted = sys.argv[1:]
    os.environ["RAY_ADDRESS"] = "local"  # not one that others have started here
    for program in sorted(PROGRAMS.glob("*.py")):
        if wanted and program.stem not in wanted:
            continue
        own(f"== {program.stem}")
        sys.argv = [str(program), name]
        runpy.run_path(str(program), init_globals={"print": own}, run_name="__main__")
