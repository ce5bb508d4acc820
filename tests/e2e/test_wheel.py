"""The wheel, built by pip alone, carries the sidebar and switches the server's part on."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from harness import ROOT, require_or_skip

from nbray.version import __version__

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

EXTENSION = "share/jupyter/labextensions/nbray"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Path inside the wheel, below its data folder if it is there, to content."""
    if not (ROOT / "labextension" / "built" / "package.json").exists():
        require_or_skip("the sidebar is not built, and building it here takes too long")
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(folder), str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode and (
        "Could not find a version" in done.stderr or "Connection" in done.stderr
    ):
        require_or_skip("the packages that build a wheel cannot be had")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return {
            name.partition(".data/data/")[2] or name: opened.read(name)
            for name in opened.namelist()
        }


def test_jupyterlab_finds_the_sidebar(files: dict[str, bytes]) -> None:
    about = json.loads(files[f"{EXTENSION}/package.json"])
    assert (about["name"], about["version"]) == ("nbray", __version__)
    entry = about["jupyterlab"]["_build"]["load"]
    assert f"{EXTENSION}/{entry}" in files
    assert json.loads(files[f"{EXTENSION}/install.json"])["packageName"] == "nbray"


def test_the_server_switches_its_part_on(files: dict[str, bytes]) -> None:
    config = json.loads(files["etc/jupyter/jupyter_server_config.d/nbray.json"])
    (module,) = config["ServerApp"]["jpserver_extensions"]
    assert f"{module.replace('.', '/')}/__init__.py" in files


def test_nothing_else_comes_along(files: dict[str, bytes]) -> None:
    odd = [name for name in files if "node_modules" in name or name.startswith(("tests", "lib"))]
    assert not odd
    assert "nbray/view/templates/panel.html.j2" in files


def test_every_file_of_the_package_is_inside(files: dict[str, bytes]) -> None:
    """The dashboard's pages and all templates among them: there is no second part to install."""
    package = ROOT / "nbray"
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours - set(files) == set()
    assert "nbray/dashboard/static/app.js" in ours


def test_versions_are_the_same() -> None:
    assert (
        json.loads((ROOT / "labextension" / "package.json").read_text())["version"] == __version__
    )


def test_what_is_built_is_what_is_there() -> None:
    """A stale build would show an old sidebar: `make sidebar` renews it."""
    built = Path(ROOT / "labextension" / "built")
    if not built.exists():
        require_or_skip("the sidebar is not built")
    done = subprocess.run(
        [sys.executable, "-c", "import build; print(build.up_to_date())"],
        cwd=ROOT / "labextension", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "True"
