"""Arrows of imports point downwards: no circles, nothing reached by a string.

The layers themselves are contracts in `pyproject.toml`, which `test_layers` runs; their first one
names every module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
from architecture.sources import parsed

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {"nbray/engine.py"}
"""Where a module of ours may be imported by its name: engines are looked up."""


def graph() -> dict[str, set[str]]:
    """What each module imports, anywhere in it, of ours."""
    found = grimp.build_graph("nbray")
    return {name: set(found.find_modules_directly_imported_by(name)) for name in found.modules}


def circles(arrows: dict[str, set[str]]) -> Iterator[set[str]]:
    """Groups of modules that reach each other."""
    reached = {name: _below(name, arrows) for name in arrows}
    left = set(arrows)
    while left:
        name = left.pop()
        group = {name} | {other for other in reached[name] if name in reached[other]}
        left -= group
        yield group


def _below(name: str, arrows: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        for other in arrows[ahead.pop()] - seen:
            seen.add(other)
            ahead.append(other)
    return seen


def test_no_circle_has_more_than_two_modules() -> None:
    wide = [sorted(group) for group in circles(graph()) if len(group) > 2]
    assert not wide


def test_circles_are_found() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(map(sorted, circles(arrows))) == [["a", "b", "c"], ["d", "e"], ["f"]]


def strings_imported(tree: ast.AST) -> Iterator[str]:
    """Names of ours that are given to `import_module` and its kin as strings."""
    for item in ast.walk(tree):
        if not isinstance(item, ast.Call):
            continue
        called = ast.unparse(item.func).rpartition(".")[2]
        if called in {"import_module", "__import__"} and item.args:
            name = ast.unparse(item.args[0]).lstrip("f").strip("'\"")
            if name.startswith("nbray"):
                yield name


def test_nothing_is_reached_by_a_string() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in (ROOT / "nbray").rglob("*.py")
        if (names := list(strings_imported(parsed(path))))
    }
    assert found.keys() <= BY_NAME, found


def test_strings_are_found() -> None:
    source = "import importlib as i; i.import_module(f'nbray.engines.{x}'); i.import_module(name)"
    assert list(strings_imported(ast.parse(source))) == ["nbray.engines.{x}"]
