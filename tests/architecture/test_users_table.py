"""The table of what users ask for names tests that exist, and has every row."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from architecture.sources import parsed

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "users.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ?([^|]*) ?\|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


@cache
def functions(path: Path) -> frozenset[str]:
    """Names of the tests in a file, also of those in classes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(parsed(path)) if isinstance(node, kinds))


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(TABLE))))
def test_every_test_named_exists(file: str, name: str) -> None:
    path = ROOT / "tests" / file
    assert path.is_file(), f"docs/users.md names {file}, which is not there"
    assert name in functions(path), f"docs/users.md names {name}, which is not in {file}"


def test_every_row_is_there_and_shown_or_said_not_to_be() -> None:
    asked, _, unique = TABLE.partition("## What no other tool has")
    for part, count in ((asked, 38), (unique, 10)):
        rows = ROW.findall(part)
        assert [int(row[0]) for row in rows] == list(range(1, count + 1))
        for number, _, tests, rest in rows:
            assert NAMED.search(tests) or (tests == "none" and rest.strip()), number


def test_every_test_in_it_is_named_in_full() -> None:
    """A name that the check above does not understand would be checked by nobody."""
    assert TABLE.count("::") == len(NAMED.findall(TABLE)) + TABLE.count("`file::test`")
