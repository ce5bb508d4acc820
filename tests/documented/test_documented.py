"""Programs after Ray's documentation print over nbray what they print over Ray.

`expected.txt` is what Ray 2.60 has printed; `make documented` runs all over both.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOME = [
    "actors_concurrency_groups", "actors_pass_handle", "errors_types", "generators_error",
    "pattern_tree", "tasks_chain", "tasks_generator_returns", "util_queue",
]  # fmt: skip
"""One of each kind: a program starts and ends a cluster of its own."""


def printed() -> dict[str, str]:
    """What each program prints over Ray."""
    parts = (HERE / "expected.txt").read_text().split("== ")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def test_some_of_them(no_leaks: None) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "run.py", "nbray", *SOME],
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = printed()
    assert done.stdout == "".join(f"== {name}\n{expected[name]}" for name in SOME)


def test_all_have_been_run_over_ray() -> None:
    programs = {path.stem for path in (HERE / "programs").glob("*.py")}
    assert len(programs) >= 30
    assert set(printed()) == programs
