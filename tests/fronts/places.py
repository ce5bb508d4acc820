"""The environments that `make fronts` has made: other front ends, and Colab's versions."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness import ROOT, require_or_skip

FRONTS = Path(os.environ.get("NBRAY_TEST_FRONTS", ROOT / ".venv-fronts"))
"""JupyterHub with its proxy, Notebook 7 and voila."""
COLAB = Path(os.environ.get("NBRAY_TEST_COLAB", ROOT / ".venv-colab"))
"""Colab's versions."""


def python_of(folder: Path) -> str:
    """The Python of an environment; without one the test is skipped, in CI it fails."""
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists() or not python.exists():
        require_or_skip(f"there is no {folder.name} (make fronts makes it)")
    return str(python)


def kernel_spec(data: Path, name: str, python: str) -> None:
    """Have Jupyter find a kernel called *name* that runs *python*; *data*: its data folder."""
    folder = data / "kernels" / name
    folder.mkdir(parents=True)
    about = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(about))
