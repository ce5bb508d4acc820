"""Clusters are reached by their package: nobody else names the engine that runs them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

NBRAY = Path(__file__).resolve().parents[2] / "nbray"
DOOR = "clusters/local.py"


@cache
def parsed() -> dict[str, ast.Module]:
    """Modules that load something or have a protocol, by their path in the package."""
    texts = {str(path.relative_to(NBRAY)): path.read_text() for path in NBRAY.rglob("*.py")}
    return {
        path: ast.parse(text, path)
        for path, text in texts.items()
        if "load(" in text or "Protocol)" in text
    }


def loads(tree: ast.Module) -> list[int]:
    """Lines in which an engine is loaded by a name that is written there."""
    return [
        item.lineno
        for item in ast.walk(tree)
        if isinstance(item, ast.Call)
        and getattr(item.func, "id", getattr(item.func, "attr", "")) == "load"
        and item.args
        and isinstance(item.args[0], ast.Constant)
        and isinstance(item.args[0].value, str)
    ]


def test_only_the_local_launcher_loads_the_native_engine() -> None:
    found = {
        f"{path}:{line}"
        for path, tree in parsed().items()
        if path != DOOR
        for line in loads(tree)
    }
    assert not found, "ask nbray.clusters"
    assert len(loads(parsed()[DOOR])) == 1


def test_only_clusters_says_what_a_record_is() -> None:
    """No module writes a protocol of its own for what it reads of a record."""
    words = {"head_address", "secret"}
    found = {
        f"{path}:{item.name}"
        for path, tree in parsed().items()
        for item in ast.walk(tree)
        if isinstance(item, ast.ClassDef)
        and "Protocol" in {ast.unparse(base) for base in item.bases}
        and words & {member.name for member in item.body if isinstance(member, ast.FunctionDef)}
    }
    assert found == {"clusters/record.py:Record"}
