"""The shape of the house: layers, purity, light imports, file lengths."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from architecture.sources import parsed

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "nbray" / "runtime" / "core"
IMPURE = {
    "asyncio", "datetime", "multiprocessing", "os", "pathlib", "random", "secrets", "select",
    "signal", "socket", "subprocess", "tempfile", "threading", "time", "uuid", "zmq",
    "concurrent",
}  # fmt: skip
HARD_LIMIT = 600
"""Lines; in the package itself 500."""
SOFT_LIMIT = 400


def imported(path: Path) -> set[str]:
    """Names of the top-level packages that the file imports, anywhere in it."""
    found = set()
    for item in ast.walk(parsed(path)):
        if isinstance(item, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in item.names)
        elif isinstance(item, ast.ImportFrom) and item.level == 0 and item.module:
            found.add(item.module.partition(".")[0])
    return found


def sources() -> list[Path]:
    folders = [ROOT / name for name in ("nbray", "tests", "benchmarks", ".ci")]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def test_layers_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: path.name)
def test_core_is_pure(path: Path) -> None:
    assert not imported(path) & IMPURE, "brains take time, ids and randomness as arguments"


def test_core_calls_no_builtin_io() -> None:
    for path in CORE.rglob("*.py"):
        for item in ast.walk(parsed(path)):
            if isinstance(item, ast.Call) and isinstance(item.func, ast.Name):
                assert item.func.id not in {"open", "print", "input", "exec", "eval"}, (
                    f"{path.name}:{item.lineno} calls {item.func.id}"
                )


def test_import_is_light() -> None:
    """`import nbray` pulls in neither ZeroMQ nor IPython nor numpy, and starts no thread."""
    program = (
        "import sys, threading; import nbray;"
        "heavy = {'zmq', 'IPython', 'ipywidgets', 'ipykernel', 'numpy', 'tornado', 'jinja2',"
        " 'psutil', 'cloudpickle', 'click', 'asyncio'};"
        "print(sorted(heavy & set(sys.modules)), threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] 1"


def test_the_dashboard_needs_no_extra() -> None:
    """What it imports comes with Python or with a plain `pip install nbray`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plain = {re.split(r"[<>=]", one)[0] for one in project["dependencies"]}
    # markupsafe comes with jinja2.
    known = sys.stdlib_module_names | {"nbray", "zmq", "markupsafe"} | plain
    for folder in ("dashboard", "view"):
        for path in (ROOT / "nbray" / folder).rglob("*.py"):
            assert imported(path) <= known, path.name


def test_version_is_said_once() -> None:
    import nbray

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert nbray.__version__ == project["version"]
    assert f"## {nbray.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_files_stay_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources()}
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > SOFT_LIMIT}
    too_long = {
        name: n
        for name, n in long.items()
        if n > (500 if name.startswith("nbray/") else HARD_LIMIT)
    }
    if long:
        print(f"look for the second noun: {long}")
    assert not too_long


def test_every_module_says_what_it_owns() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "nbray").rglob("*.py")
        if path.read_text().strip() and not ast.get_docstring(parsed(path))
    ]
    assert not silent


def test_match_statements_over_unions_are_closed() -> None:
    """In the brains no `match` falls through in silence: the last case refuses or hands on."""
    open_ended = []
    for path in CORE.rglob("*.py"):
        for item in ast.walk(parsed(path)):
            if isinstance(item, ast.Match):
                last = ast.unparse(item.cases[-1])
                if not re.search(r"assert_never|raise |return ", last):
                    open_ended.append(f"{path.name}:{item.lineno}")
    assert not open_ended
