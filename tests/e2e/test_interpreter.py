"""Workers run as the interpreter that started the cluster was told to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from e2e import cli

PROGRAM = """
import sys, nbray
nbray.init(num_cpus=1, include_dashboard=False)
@nbray.remote
def look():
    return sys.flags.optimize, sys.flags.utf8_mode, hash("key")
def asserts():
    assert False
@nbray.remote
def asserting():
    try:
        asserts()
    except AssertionError:
        return "asserts"
    return "none"
print(*nbray.get(look.remote()), nbray.get(asserting.remote()))
"""


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], "0 0 asserts"), (["-O"], "1 0 none"), (["-OO", "-X", "utf8"], "2 1 none")],
)
def test_flags_of_the_interpreter(tmp_path: Path, flags: list[str], expected: str) -> None:
    program = tmp_path / "flags.py"
    program.write_text(PROGRAM)
    said = []
    for _ in range(1 if flags else 2):
        done = cli.run([sys.executable, *flags, str(program)])
        optimize, utf8, seeded, asserted = done.stdout.split() or [done.stderr] * 4
        assert f"{optimize} {utf8} {asserted}" == expected
        said.append(seeded)
    assert len(set(said)) == 1, "every cluster, and so every node of one, has the same hashes"
