"""What is changed in other people's modules and classes is changed in `nbray/patches/`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from architecture.sources import parsed

ROOT = Path(__file__).resolve().parents[2]
MEANT_FOR_IT = {
    "sys.last_traceback", "sys.last_type", "sys.last_value", "sys.path", "sys.stderr", "sys.stdout",
}  # fmt: skip
"""What is there to be assigned to: a process's streams and path, what `%tb` shows."""


def changed(tree: ast.Module) -> Iterator[str]:
    """Attributes of imported modules and classes that are assigned to, as they are written."""
    imported = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            imported |= {alias.asname or alias.name.partition(".")[0] for alias in item.names}
        elif isinstance(item, ast.ImportFrom) and not (item.module or "").startswith("nbray"):
            imported |= {alias.asname or alias.name for alias in item.names}
    for item in ast.walk(tree):
        if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store | ast.Del):
            root: ast.expr = item
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in imported:
                yield ast.unparse(item)


def test_others_are_changed_in_one_folder() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in (ROOT / "nbray").rglob("*.py")
        if (names := set(changed(parsed(path))) - MEANT_FOR_IT)
        and path.parent.name != "patches"
    }
    assert not found


def test_every_patch_has_its_test() -> None:
    patches = {path.stem for path in (ROOT / "nbray" / "patches").glob("[a-z]*.py")}
    tests = {path.stem for path in (ROOT / "tests" / "unit" / "patches").glob("test_*.py")}
    assert {f"test_{name}" for name in patches} <= tests


def test_changes_are_found() -> None:
    source = "import threading as t\nfrom a import B\nt.Thread.start = 1\nB.x = 2\nC = 3\nC.d = 4"
    assert list(changed(ast.parse(source))) == ["t.Thread.start", "B.x"]
