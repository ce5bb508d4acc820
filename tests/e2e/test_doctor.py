"""`nbray doctor` on an installation that is broken and mended by the commands it prints."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.cli import environment, nbray
from harness import ROOT

from nbray.version import __version__

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BIN = Path(sys.executable).parent


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Jupyter's folders of a user who has everything."""
    data, config = tmp_path / "data", tmp_path / "config"
    (data / "labextensions" / "nbray").mkdir(parents=True)
    about = data / "labextensions" / "nbray" / "package.json"
    about.write_text(json.dumps({"name": "nbray", "version": __version__}))
    (config / "jupyter_server_config.d").mkdir(parents=True)
    shutil.copy(
        ROOT / "labextension" / "server.json", config / "jupyter_server_config.d" / "nbray.json"
    )
    return {
        "JUPYTER_DATA_DIR": str(data),
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_PLATFORM_DIRS": "1",
        "JUPYTER_PREFER_ENV_PATH": "0",  # this Python may have been installed with all of it
        "HOME": str(tmp_path),
    }


def jupyter(line: str, places: dict[str, str]) -> None:
    """Run `jupyter ...` of this environment, for this user."""
    name, *rest = shlex.split(line)
    assert name == "jupyter"
    argv = [str(BIN / f"jupyter-{rest[0]}"), *rest[1:], "--user"]
    if rest[0] == "labextension":
        argv[-1] = "--level=user"
    done = subprocess.run(
        argv, env=environment(**places), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_is_well(places: dict[str, str]) -> None:
    done = nbray("doctor", **places)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("Everything is in place.")
    assert f"nbray {__version__}" in done.stdout
    assert "kernel 'Python 3 (ipykernel)'" in done.stdout


@pytest.mark.parametrize(
    ("breaks", "told", "mends"),
    [
        (
            "jupyter server extension disable nbray.jupyter.server",
            "nbray's part of the Jupyter server is disabled",
            "jupyter server extension enable nbray.jupyter.server",
        ),
        (
            "jupyter labextension disable nbray",
            "the sidebar is disabled (nbray)",
            "jupyter labextension enable nbray",
        ),
    ],
)
def test_what_it_prints_mends(breaks: str, told: str, mends: str, places: dict[str, str]) -> None:
    jupyter(breaks, places)
    done = nbray("doctor", **places)
    assert done.returncode == 1
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[lines.index(f"BAD  {told}") + 1] == mends
    jupyter(mends, places)
    assert nbray("doctor", **places).returncode == 0
