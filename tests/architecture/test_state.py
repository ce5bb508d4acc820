"""What changes while a process runs is kept in few, known places."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from architecture.sources import parsed

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "nbray" / "jupyter"
SLOTS = {
    "nbray/api.py": "the wait that was checked last: a memo of names",
    "nbray/jupyter/notebook.py": "the process's one notebook",
    "nbray/session.py": "the engine in use",
    "nbray/patches/threads.py": "the patch of pools, made when their module is there",
}
"""Files whose functions assign to names of their module, and what those are."""
MEMOS = {"nbray/jupyter/remote/body.py": "the text of cells in a worker, for its tracebacks"}
"""Files of the notebook's part that keep something in their module all the same."""


def assigned(tree: ast.AST) -> Iterator[str]:
    """Names of the module to which functions assign."""
    for item in ast.walk(tree):
        if isinstance(item, ast.Global):
            yield from item.names


def hidden(tree: ast.Module) -> Iterator[str]:
    """What a module keeps without saying so: cached single things, and containers that fill."""
    for item in tree.body:
        if isinstance(item, ast.FunctionDef) and not item.args.args:
            if any("cache" in ast.unparse(one) for one in item.decorator_list):
                yield item.name
        elif isinstance(item, ast.Assign | ast.AnnAssign):
            targets = item.targets if isinstance(item, ast.Assign) else [item.target]
            names = [ast.unparse(one) for one in targets]
            made = ast.unparse(item.value) if item.value is not None else ""
            if made in {"[]", "{}", "set()", "deque()", "Counter()"}:
                yield from names


def files(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield str(path.relative_to(ROOT)), parsed(path)


def test_mutable_names_of_modules_are_few() -> None:
    found = {name for name, tree in files(ROOT / "nbray") if list(assigned(tree))}
    assert found <= SLOTS.keys()


def test_the_notebooks_part_hides_none() -> None:
    """Its parts belong to a `Notebook`, which makes them and hands them out."""
    found = {name: kept for name, tree in files(NOTEBOOK) if (kept := list(hidden(tree)))}
    assert found.keys() <= MEMOS.keys(), found


def test_hidden_state_is_found() -> None:
    source = "@cache\ndef one(): ...\n@cache\ndef of(x): ...\nseen: list[str] = []\nLIMIT = [1]\n"
    assert list(hidden(ast.parse(source))) == ["one", "seen"]
