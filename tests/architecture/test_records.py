"""How records are built: long ones by name."""

from __future__ import annotations

import ast
from pathlib import Path

from architecture.sources import parsed

PACKAGE = Path(__file__).resolve().parents[2] / "nbray"
MOST = 8
"""Arguments that may be given by their place: of more nobody sees which is which."""


def test_long_records_are_built_by_name() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{item.lineno} {ast.unparse(item.func)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for item in ast.walk(parsed(path))
        if isinstance(item, ast.Call) and len(item.args) > MOST
    ]
    assert not wrong
