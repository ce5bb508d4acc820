"""`nbray doctor`: what is installed and switched on, and the command that mends what is not.

Owns the checks and their words. Does not own printing (`nbray.cli`). Rules: it
changes nothing, and reads what JupyterLab would read from the same places. It
speaks of the Python that runs it, so of JupyterLab's own where that one runs
it, and asks every other Python that has a kernel.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from nbray.config import run_root
from nbray.engine import load
from nbray.exceptions import RayError
from nbray.jupyter.server import NAME as SERVER_PART
from nbray.version import __version__

OLDEST_LAB = (4, 1)
OLDEST_PYTHON = (3, 11)
KERNEL_SECONDS = 30.0
_ASK = (
    "import json, sys\n"
    "found = {'python': list(sys.version_info[:3]), 'nbray': ''}\n"
    "try:\n"
    "    from nbray.version import __version__ as version\n"
    "    found['nbray'] = version\n"
    "except ImportError:\n"
    "    pass\n"
    "print(json.dumps(found))"
)


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at."""

    good: bool
    text: str
    mend: str = ""
    """The command that mends it, or what to do."""


class Kernel(msgspec.Struct, frozen=True):
    """What the Python of a kernel said of itself."""

    python: tuple[int, int, int]
    nbray: str
    """Version, '' if it has none."""


def examine() -> Iterator[Finding]:
    """Everything there is to say, in the order in which to mend it."""
    python = sys.executable
    yield Finding(True, f"nbray {__version__} on Python {_dotted(sys.version_info[:3])}, {python}")
    yield _run_directory()
    lab = lab_finding(_version("jupyterlab"), python)
    yield lab
    if _version("jupyterlab"):
        from jupyter_core.paths import jupyter_config_path, jupyter_path

        configs = [Path(path) for path in jupyter_config_path()]
        sidebar = sidebar_finding([Path(path) for path in jupyter_path("labextensions")], python)
        yield sidebar
        if sidebar.good:
            yield disabled_finding(configs)
        yield server_finding(configs)
        yield widgets_finding(_version("jupyterlab_widgets"), python)
    yield from _kernels()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _run_directory() -> Finding:
    try:
        count = len(load("native").records())
    except (RayError, OSError) as error:
        return Finding(False, "clusters cannot be found on this machine", str(error))
    nodes = f"{count} node{'' if count == 1 else 's'}"
    return Finding(True, f"clusters are found through {run_root()}: {nodes} now")


def lab_finding(version: str, python: str) -> Finding:
    """Whether JupyterLab is here, and new enough."""
    if not version:
        return Finding(
            True,
            "JupyterLab is not installed for this Python, so its part is not looked at: "
            "run `nbray doctor` with the Python that runs JupyterLab, too",
        )
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_LAB:
        return Finding(
            False,
            f"JupyterLab {version} is too old for the sidebar",
            f"{python} -m pip install --upgrade 'jupyterlab>={_dotted(OLDEST_LAB)}'",
        )
    return Finding(True, f"JupyterLab {version}")


def _read(path: Path) -> dict[str, Any]:
    """The JSON object in *path*; an empty one if there is none that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def sidebar_finding(folders: list[Path], python: str) -> Finding:
    """Whether JupyterLab finds the sidebar, of this version; *folders*: the first counts."""
    again = f"{python} -m pip install --force-reinstall --no-deps nbray=={__version__}"
    for folder in folders:
        about = _read(folder / "nbray" / "package.json")
        if not about:
            continue
        version = str(about.get("version", "?"))
        if version != __version__:
            return Finding(False, f"the sidebar is of nbray {version}: {folder / 'nbray'}", again)
        return Finding(True, f"the sidebar is installed: {folder / 'nbray'}")
    return Finding(False, "JupyterLab does not find the sidebar", again)


def disabled_finding(configs: list[Path]) -> Finding:
    """Whether somebody has switched the sidebar, or a part of it, off."""
    off: dict[str, bool] = {}
    for folder in reversed(configs):  # the first counts most
        said = _read(folder / "labconfig" / "page_config.json").get("disabledExtensions", {})
        off.update(said if isinstance(said, Mapping) else dict.fromkeys(said, True))
    parts = sorted(name for name, is_off in off.items() if is_off and _ours(name))
    if not parts:
        return Finding(True, "the sidebar is enabled")
    mend = " && ".join(f"jupyter labextension enable {name}" for name in parts)
    return Finding(False, f"the sidebar is disabled ({', '.join(parts)})", mend)


def _ours(name: str) -> bool:
    return name == "nbray" or name.startswith("nbray:")


def server_finding(configs: list[Path]) -> Finding:
    """Whether the Jupyter server loads its part."""
    enabled: dict[str, Any] = {}
    for folder in reversed(configs):
        files = [*sorted((folder / "jupyter_server_config.d").glob("*.json"))]
        for path in (*files, folder / "jupyter_server_config.json"):
            server = _read(path).get("ServerApp", {})
            enabled.update(server.get("jpserver_extensions", {}))
    mend = f"jupyter server extension enable {SERVER_PART}"
    if SERVER_PART not in enabled:
        return Finding(False, "the Jupyter server does not know nbray's part of it", mend)
    if not enabled[SERVER_PART]:
        return Finding(False, "nbray's part of the Jupyter server is disabled", mend)
    return Finding(True, "the Jupyter server loads nbray's part")


def widgets_finding(version: str, python: str) -> Finding:
    """Whether bars and panels can move in JupyterLab."""
    if version:
        return Finding(True, f"widgets can be shown (jupyterlab_widgets {version})")
    return Finding(
        False,
        "JupyterLab cannot show widgets, so bars and panels do not move",
        f"{python} -m pip install jupyterlab_widgets",
    )


def _kernels() -> Iterator[Finding]:
    from jupyter_client.kernelspec import KernelSpecManager

    seen: set[str] = set()
    for name, found in sorted(KernelSpecManager().get_all_specs().items()):
        spec = found["spec"]
        argv = spec.get("argv") or [""]
        python = argv[0] if Path(argv[0]).is_absolute() else sys.executable
        if str(spec.get("language", "")).lower() != "python" or python in seen:
            continue
        seen.add(python)
        yield kernel_finding(spec.get("display_name") or name, python, ask(python))


def ask(python: str) -> Kernel | None:
    """What *python* says of itself; None if it cannot be run."""
    try:
        done = subprocess.run(
            [python, "-c", _ASK], cwd="/", capture_output=True, check=False, timeout=KERNEL_SECONDS
        )
        return msgspec.json.decode(done.stdout, type=Kernel)
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError):
        return None


def kernel_finding(name: str, python: str, said: Kernel | None) -> Finding:
    """Whether notebooks with this kernel can use nbray."""
    called = f"kernel {name!r} ({python})"
    if said is None:
        return Finding(
            False, f"{called}: its Python cannot be run", "jupyter kernelspec list, then remove it"
        )
    if said.python < OLDEST_PYTHON:
        return Finding(
            False,
            f"{called}: Python {_dotted(said.python)} is too old for nbray",
            f"make an environment with Python {_dotted(OLDEST_PYTHON)} or newer for it",
        )
    mend = f"{python} -m pip install nbray=={__version__}"
    if not said.nbray:
        return Finding(False, f"{called}: nbray is not installed", mend)
    if said.nbray != __version__:
        return Finding(False, f"{called}: nbray {said.nbray}, here it is {__version__}", mend)
    return Finding(True, f"{called}: nbray {said.nbray}")
