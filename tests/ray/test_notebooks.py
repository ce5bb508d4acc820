"""The notebooks over Ray, with only their start line changed: each cell runs, its assertions hold.

Outputs are not compared: whether a bar is among them depends on how long Ray's workers take to
start, and `%nbray stop` says that a cluster which was joined goes on.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
for needed in ("nbval", "matplotlib", "sklearn"):
    pytest.importorskip(needed)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def over_ray(name: str, address: str) -> str:
    """The notebook with another start line."""
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    starts = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            source, found = re.subn(
                r"(?m)^%nbray start.*$", f"%nbray attach --engine ray {address}",
                "".join(cell["source"]),
            )  # fmt: skip
            cell["source"], starts = source, starts + found
    assert starts == 1
    return json.dumps(notebook)


def run(notebook: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax",
         "--nbval-current-env", "--nbval-cell-timeout", "300", notebook.name],
        cwd=notebook.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.parametrize("name", ["model_search", "actors", "image_pipeline", "debugging"])
def test_runs_unchanged_but_for_its_start(cluster: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.ipynb"
    path.write_text(over_ray(name, cluster))
    run(path)


def test_rays_libraries(cluster: str, tmp_path: Path) -> None:
    for needed in ("pyarrow", "pandas", "fastapi"):
        pytest.importorskip(needed)
    path = tmp_path / "ray_libraries.ipynb"
    path.write_text(over_ray("ray_libraries", cluster))
    run(path)
