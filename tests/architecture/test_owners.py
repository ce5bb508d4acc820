"""Who may write what: the life of an object has one owner, and brains are closed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from architecture.sources import parsed

RUNTIME = Path(__file__).resolve().parents[2] / "nbray" / "runtime"
OWNER = RUNTIME / "core" / "client" / "objects" / "objects.py"
FIELDS = {"asked", "borrowers", "count", "local", "maker", "refs", "state", "value", "waiters"}
"""What an `Entry` has: `objects.Objects` alone assigns it."""
OTHERS = {("actors.py", "link.state"), ("actor_directory.py", "actor.state")}
"""States of other records, assigned by their own owners."""


def targets(path: Path) -> Iterator[ast.expr]:
    """What the file assigns to, or deletes."""
    for item in ast.walk(parsed(path)):
        found: list[ast.expr] = []
        if isinstance(item, ast.Assign | ast.Delete):
            found = item.targets
        elif isinstance(item, ast.AugAssign | ast.AnnAssign | ast.NamedExpr | ast.For):
            found = [item.target]
        for target in found:
            yield from target.elts if isinstance(target, ast.Tuple) else [target]


def test_only_objects_writes_entries() -> None:
    wrong = []
    for path in sorted(RUNTIME.rglob("*.py")):
        if path == OWNER:
            continue
        source = path.read_text()
        sees_entries = re.search(r"core\.client\.(objects\.(objects|entry)|brain) import", source)
        for target in targets(path):
            text = ast.unparse(target)
            of, _, field = text.partition("[")[0].rpartition(".")
            if of in ("", "self") or (path.name, text) in OTHERS:
                continue
            watched = FIELDS if sees_entries else {"state"}
            if field in (("owned", "foreign") if "[" in text else watched):
                wrong.append(f"{path.name}:{target.lineno} {text}")
    assert not wrong, "entries change by the verbs of core.client.objects.objects.Objects"


def test_only_objects_makes_entries() -> None:
    wrong = [
        f"{path.name}:{item.lineno}"
        for path in sorted(RUNTIME.rglob("*.py"))
        if path != OWNER
        for item in ast.walk(parsed(path))
        if isinstance(item, ast.Call) and ast.unparse(item.func).split(".")[-1] == "Entry"
    ]
    assert not wrong


def test_shells_write_into_no_brain() -> None:
    """What a shell gives a brain is given to its constructor, or to a method."""
    brains = {"brain", "_brain", "client", "worker", "_worker"}
    wrong = [
        f"{path.name}:{target.lineno} {ast.unparse(target)}"
        for path in sorted((RUNTIME / "shell").rglob("*.py"))
        for target in targets(path)
        if isinstance(target, ast.Attribute)
        and ast.unparse(target.value).rpartition(".")[2] in brains
    ]
    assert not wrong
