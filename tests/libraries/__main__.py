"""`make libraries`: libraries that use Ray's core, on nbray under Ray's name.

Each program of `programs/` prints a line with OK at its end. It is run by `nbray run --as-ray` from
a folder of its own under another name, for its own is that of the library. Then modin's own tests
of what it does with frames are run, in the same way.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
NBRAY = str(Path(sys.executable).with_name("nbray"))
RUN = ("easy", "hamilton", "joblib", "modin", "pymoo", "sktime", "unidist")
MODIN = ("modin.tests.pandas.test_concat", "modin.tests.pandas.test_reshape")
MODIN_PASSES = 66
LIMIT = 600
"""Seconds for one program."""
Judge = Callable[[str], bool]


def run(name: str, folder: Path, words: list[str], judge: Judge, **more: str) -> bool:
    """Run `nbray run --as-ray WORDS` and say how it went; *judge* looks at what it printed."""
    started = time.monotonic()
    environment = {
        **os.environ, "PYTHONPATH": str(folder), "NBRAY_RUN_DIR": str(folder / "run"), **more
    }  # fmt: skip
    try:
        done = subprocess.run(
            [NBRAY, "run", "--as-ray", *words], cwd=folder, env=environment, check=False,
            capture_output=True, text=True, timeout=LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"{name}: not done after {LIMIT} s")
        return False
    fine = done.returncode == 0 and judge(done.stdout)
    seconds = time.monotonic() - started
    print(f"{name}: {'OK' if fine else 'FAILED'} in {seconds:.1f} s", flush=True)
    if not fine:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n")
    return fine


def passed(output: str) -> bool:
    """Whether pytest says that as many of modin's tests have passed as with Ray."""
    found = re.search(r"^(?:.* )?(\d+) passed", output, re.MULTILINE)
    return found is not None and int(found[1]) == MODIN_PASSES


def program(name: str, folder: Path) -> bool:
    """Run one of `programs/`."""
    path = folder / f"run_{name}.py"
    shutil.copy(HERE / "programs" / f"{name}.py", path)
    return run(name, folder, [str(path)], lambda output: f"{name.upper()} OK" in output)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="nbl-", dir="/tmp") as place:
        folder = Path(place)
        for helper in ("hm", "hm2"):
            shutil.copy(HERE / "programs" / f"{helper}.py", folder)
        failed = [name for name in RUN if not program(name, folder)]
        tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", *MODIN]
        if not run("modin's own tests", folder, tests, passed, MODIN_ENGINE="ray", MODIN_CPUS="2"):
            failed.append("modin's own tests")
    print(f"{len(RUN) + 1 - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
