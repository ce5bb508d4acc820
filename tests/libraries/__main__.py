"""`make libraries`: libraries that use Ray's core, on nbray under Ray's name.

Each program of `programs/` prints a line with OK at its end. It is run from a
folder of its own under another name, for its own is that of the library.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
RUN = ("easy", "hamilton", "pymoo", "sktime", "unidist")
LIMIT = 180
"""Seconds for one program."""


def run(name: str, folder: Path) -> bool:
    program = folder / f"run_{name}.py"
    shutil.copy(HERE / "programs" / f"{name}.py", program)
    started = time.monotonic()
    environment = {
        **os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{HERE}",
        "NBRAY_RUN_DIR": str(folder / "run"),
    }  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, str(program)], cwd=folder, env=environment, check=False,
            capture_output=True, text=True, timeout=LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"{name}: not done after {LIMIT} s")
        return False
    fine = done.returncode == 0 and f"{name.upper()} OK" in done.stdout
    print(f"{name}: {'OK' if fine else 'FAILED'} in {time.monotonic() - started:.1f} s")
    if not fine:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n")
    return fine


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="nbl-", dir="/tmp") as folder:
        for helper in ("hm", "hm2"):
            shutil.copy(HERE / "programs" / f"{helper}.py", folder)
        about = Path(folder, "ray-2.60.0.dist-info")  # some look whether Ray is installed
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ray\nVersion: 2.60.0\n")
        failed = [name for name in RUN if not run(name, Path(folder))]
    print(f"{len(RUN) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
