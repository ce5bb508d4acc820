"""Names: a class has one name in its layer, and a module's name says what is in it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from architecture.sources import parsed

PACKAGE = Path(__file__).resolve().parents[2] / "nbray"
COY = {
    "autopsy", "bell", "blame", "crowd", "door", "ends", "held", "inside", "kept", "known",
    "leaving", "outside", "room", "sorry", "spread", "stay", "things",
}  # fmt: skip
"""Modules that were called so: what they hold had to be looked up."""


def layer(path: Path) -> str:
    """The package in which the file lies: for the runtime, whether it is core, store or shell."""
    inside = path.relative_to(PACKAGE).parts
    if len(inside) == 1:
        return "the top of the package"
    return "/".join(inside[:2]) if inside[0] == "runtime" and len(inside) > 2 else inside[0]


def test_no_class_name_stands_twice_in_a_layer() -> None:
    """Variants of one class for several systems stand in one module."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for item in ast.walk(parsed(path)):
            if isinstance(item, ast.ClassDef):
                found[layer(path), item.name].add(str(path.relative_to(PACKAGE)))
    twice = {key: sorted(files) for key, files in found.items() if len(files) > 1}
    assert not twice, "call them by what tells them apart"


def test_no_module_is_called_coyly() -> None:
    assert not COY & {path.stem for path in PACKAGE.rglob("*.py")}
