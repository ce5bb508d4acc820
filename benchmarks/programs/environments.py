"""A `pip` environment that is kept from before: from a task's submission to its first result."""

from __future__ import annotations

import importlib
import os
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

from timing import module_name, report, wanted

ray = importlib.import_module(module_name())
UP, COLD = "kept pip environment, workers up", "kept pip environment, straight after init"
TIMES = 5


def wheel(folder: Path) -> str:
    """The path of a package with nothing but a version."""
    path, about = folder / "nbkept-1.0-py3-none-any.whl", "nbkept-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nbkept.py", "VERSION = 1")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: nbkept\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", f"nbkept.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n")
    return str(path)


def nothing() -> None:
    pass


def use() -> int:
    import nbkept

    return nbkept.VERSION


def session(package: str, up: bool) -> float:
    """Seconds of the first use of the environment in a cluster that has just begun."""
    ray.init(num_cpus=2)
    if up:
        plain = ray.remote(nothing)
        ray.get([plain.remote() for _ in range(100)])
        time.sleep(0.5)
    began = time.perf_counter()
    used = ray.remote(runtime_env={"pip": ["--no-index", package]})(use)
    assert ray.get(used.remote()) == 1
    seconds = time.perf_counter() - began
    ray.shutdown()
    return seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NBRAY_ENVIRONMENTS_DIR"] = str(Path(folder, "kept"))
        package = wheel(Path(folder))
        session(package, up=False)  # it is made
        for row, up in ((UP, True), (COLD, False)):
            if wanted(row):
                report(row, statistics.median(session(package, up) for _ in range(TIMES)))


if __name__ == "__main__":
    main()
