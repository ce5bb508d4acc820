"""Which changes of a line are drawn, and what they make of a source."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import msgspec
import pytest
from mutants.__main__ import ROOT, Memory
from mutants.drawing import Change, changed, changes

SOURCE = '''
LIMIT = 3

def f(self, x: "int < 2" = 0) -> bool:
    """x < 1"""
    assert x > 1
    if not x and self.y <= 2:
        self.count += 1
        return True
    for one in x:
        continue
    self.tell(f"{x + 1}")
    assert_never(x)
    return x is None

def check(self):
    return 1 == 1
'''


def test_what_is_known_of_changes_is_still_said_of_lines_that_are_there() -> None:
    root = Path(__file__).resolve().parents[2]
    memory = tomllib.loads((root / "tests" / "mutants" / "known.toml").read_text())
    for one in memory["known"]:
        lines = (root / one["file"]).read_text().splitlines()
        assert one["was"] in map(str.strip, lines), one


def test_what_is_changed_and_what_is_left_alone() -> None:
    found = changes("f.py", SOURCE)
    assert {change.now.strip() for change in found} == {
        "if x and self.y <= 2:", "if not x or self.y <= 2:", "if not x and self.y < 2:",
        "if not x and self.y <= 3:", "if not (not x and self.y <= 2):", "self.count += 2", "pass",
        "return False", "break", "return x is not None",
    }  # fmt: skip
    assert sorted(change.line for change in found if change.now.strip() == "pass") == [8, 12]


def test_every_change_is_a_program() -> None:
    for change in changes("f.py", SOURCE):
        ast.parse(changed(SOURCE, change))


def test_a_source_that_has_changed_meanwhile_is_refused() -> None:
    with pytest.raises(AssertionError, match="changed meanwhile"):
        changed(SOURCE, Change("f.py", 2, "LIMIT = 4", "LIMIT = 5"))


def test_a_change_is_known_wherever_its_line_moves() -> None:
    one, other = changes("f.py", SOURCE), changes("f.py", "\n" + SOURCE)
    assert [change.key for change in one] == [change.key for change in other]


def test_what_is_remembered_is_of_one_line_that_is_there() -> None:
    memory = msgspec.toml.decode((ROOT / "tests/mutants/known.toml").read_bytes(), type=Memory)
    assert memory.known
    for one in memory.known:
        drawn = changes(one.file, (ROOT / one.file).read_text())
        assert [change.key for change in drawn].count((one.file, one.was, one.now)) == 1, one
