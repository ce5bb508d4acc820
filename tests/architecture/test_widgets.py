"""Widgets need no JavaScript but ipywidgets' own, so they work offline, in VS Code and in Colab."""

from __future__ import annotations

import ast
from pathlib import Path

import ipywidgets
from architecture.sources import parsed

ROOT = Path(__file__).resolve().parents[2]
OWN = {"_view_module", "_model_module", "_esm", "anywidget"}


def modules() -> list[tuple[Path, ast.AST]]:
    return [(path, parsed(path)) for path in (ROOT / "nbray").rglob("*.py")]


def test_no_widget_brings_javascript() -> None:
    for path, tree in modules():
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & OWN, f"{path.name}: a front end without network could not show it"


def test_only_core_widgets_are_used() -> None:
    used = {
        alias.name
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "ipywidgets"
        for alias in node.names
    }
    assert "HTML" in used
    for name in used:
        kind = getattr(ipywidgets, name)
        if issubclass(kind, ipywidgets.Widget):
            module = kind.class_traits()["_model_module"].default_value
            assert module.startswith("@jupyter-widgets/"), name
