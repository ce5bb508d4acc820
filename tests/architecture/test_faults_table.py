"""docs/faults.md: every kind of fault has a section, and the tests that it names exist."""

from __future__ import annotations

import re

import pytest
from architecture.test_users_table import NAMED, ROOT, functions

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^### (\w+) · .+$", re.MULTILINE)
CODES = [
    *(f"C{n}" for n in range(1, 5)),
    *(f"H{n}" for n in range(1, 9)),
    *(f"M{n}" for n in range(1, 9)),
    *(f"L{n}" for n in range(1, 4)),
    *(f"D{n}" for n in range(1, 18)),
    *"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
]


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_every_test_named_exists(file: str, name: str) -> None:
    path = ROOT / "tests" / file
    assert path.is_file(), f"docs/faults.md names {file}, which is not there"
    assert name in functions(path), f"docs/faults.md names {name}, which is not in {file}"


def test_every_kind_has_its_section() -> None:
    assert SECTION.findall(PAGE) == CODES


def test_every_test_in_it_is_named_in_full() -> None:
    """A name that the check above does not understand would be checked by nobody."""
    assert PAGE.count("::") == len(NAMED.findall(PAGE))


def test_every_section_names_tests_or_says_that_it_is_open() -> None:
    for code, body in zip(CODES, SECTION.split(PAGE)[2::2], strict=True):
        assert NAMED.search(body) or body.strip().startswith("Open"), code
