"""The sidebar's modules that need no JupyterLab, by Node's own test runner on what was compiled."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest
from harness import ROOT, require_or_skip

FOLDER = ROOT / "labextension"
TESTS = sorted(path.name for path in (FOLDER / "test").glob("*.test.mjs"))


def _system_node() -> str:
    spec = importlib.util.spec_from_file_location("nbray_sidebar_build", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder: str = module.node_folder()
    return str(Path(folder, "node")) if folder else ""


@pytest.fixture(scope="module")
def node() -> str:
    """A Node.js that is new enough: the build's, or the one that drives the browser tests."""
    found = _system_node()
    if not found and importlib.util.find_spec("playwright") is not None:
        from playwright._impl._driver import compute_driver_executable

        found = str(compute_driver_executable()[0])
    if not found or not Path(found).exists():
        require_or_skip("there is no Node.js to run them")
    return found


@pytest.fixture(scope="module")
def compiled() -> None:
    """What the compiler wrote is there, and of these sources."""
    if (FOLDER / "built").exists() and not (FOLDER / "lib").exists():
        require_or_skip("the sidebar was built elsewhere")
    for source in (FOLDER / "src").glob("*.ts"):
        made = FOLDER / "lib" / f"{source.stem}.js"
        if not made.exists():
            require_or_skip("the sidebar is not built, and building it here takes too long")
        if made.stat().st_mtime < source.stat().st_mtime:
            require_or_skip(f"labextension/src/{source.name} is newer than the built sidebar")


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", TESTS)
def test_in_node(node: str, name: str) -> None:
    register = (FOLDER / "test" / "register.mjs").as_uri()
    done = subprocess.run(
        [node, "--test", f"test/{name}"],
        cwd=FOLDER,
        env={**os.environ, "NODE_OPTIONS": f"--import={register}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
