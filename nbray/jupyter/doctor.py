"""`nbray doctor`: what is installed and switched on, and the command that mends what is not.

Owns the checks and their words. Does not own printing (`nbray.cli`). Rules: it
changes nothing, and reads what JupyterLab would read from the same places. It
speaks of the Python that runs it, so of JupyterLab's own where that one runs
it, asks every other Python that has a kernel, and every Jupyter server of the
user that runs: what is installed need not be what serves.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from nbray.clusters.local import Local
from nbray.config import run_root
from nbray.exceptions import RayError
from nbray.jupyter.server import NAME as SERVER_PART
from nbray.version import __version__

OLDEST_LAB = (4, 1)
OLDEST_PYTHON = (3, 11)
KERNEL_SECONDS = 30.0
SERVER_SECONDS = 10.0
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
    lacks: str = ""
    """What could not be looked at ('' if all was)."""


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
    yield from _bounds()
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
    yield from _servers()
    yield from _kernels()


def verdict(found: Sequence[Finding]) -> str:
    """The last line, about all that was *found*; '' if something is to be mended."""
    if not all(finding.good for finding in found):
        return ""
    missing = [finding.lacks for finding in found if finding.lacks]
    if missing:
        return f"Everything that was looked at is in place; not looked at: {', '.join(missing)}."
    return "Everything is in place."


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _run_directory() -> Finding:
    try:
        count = len(Local().records())
    except (RayError, OSError) as error:
        return Finding(False, "clusters cannot be found on this machine", str(error))
    nodes = f"{count} node{'' if count == 1 else 's'}"
    return Finding(True, f"clusters are found through {run_root()}: {nodes} now")


def _bounds() -> Iterator[Finding]:
    """What a cluster may take of this machine; whoever meets a bound is told there, too."""
    try:
        found = Local().bounds()
    except (OSError, ValueError) as error:
        yield Finding(False, "the bounds of this machine cannot be read", str(error))
        return
    for text in found:
        yield Finding(True, f"bound: {text}")


def lab_finding(version: str, python: str) -> Finding:
    """Whether JupyterLab is here, and new enough."""
    if not version:
        return Finding(
            True,
            "JupyterLab is not installed for this Python, so its part is not looked at: "
            "run `nbray doctor` with the Python that runs JupyterLab, too",
            lacks="JupyterLab's part",
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


def _servers() -> Iterator[Finding]:
    """The user's Jupyter servers that run on this machine, whichever Python they run."""
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return
    for path in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        about = _read(path)
        url, pid = str(about.get("url", "")), about.get("pid")
        if url and isinstance(pid, int) and Path(f"/proc/{pid}").exists():
            token = str(about.get("token") or os.environ.get("JUPYTERHUB_API_TOKEN", ""))
            yield running_finding(url, *knock(url, token))


class _Stay(urllib.request.HTTPRedirectHandler):
    """To be sent to a page for logging in is an answer."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def knock(url: str, token: str) -> tuple[int, str]:
    """(status, version) of what answers the sidebar's first request at the server *url*.

    Status 0: nobody does. Version '': it is not nbray's part that answers.
    """
    address = url.rstrip("/") + "/api/nbray/clusters"
    headers = {"Authorization": f"token {token}"} if token else {}
    # The server's own address, on this machine: no proxy has anything to do with it.
    if not address.startswith(("http://", "https://")):
        return 0, ""
    asked = urllib.request.Request(address, headers=headers)  # noqa: S310 - see above
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())
    try:
        with opener.open(asked, timeout=SERVER_SECONDS) as said:
            status, text = said.status, said.read(1 << 20)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except (OSError, ValueError, http.client.HTTPException):
        return 0, ""
    try:
        return status, str(json.loads(text)["version"])
    except (ValueError, TypeError, LookupError):
        return status, ""


def running_finding(url: str, status: int, version: str) -> Finding:
    """Whether the Jupyter server at *url* serves the sidebar, as it answered (`knock`)."""
    shown = url.partition("?")[0]
    again = "restart the Jupyter server"
    if status == 200 and version:
        if version != __version__:
            return Finding(
                False, f"the Jupyter server at {shown} serves nbray {version}, not {__version__}",
                f"{again} (in its own environment: pip install nbray=={__version__})",
            )  # fmt: skip
        return Finding(True, f"the Jupyter server at {shown} serves nbray's part")
    if status in {401, 403} or 300 <= status < 400:
        return Finding(
            True,
            f"the Jupyter server at {shown} asks for a login, so it could not be asked "
            "whether it serves nbray's part",
            lacks=f"the server at {shown}",
        )
    if status in {404, 405}:
        return Finding(
            False, f"the Jupyter server at {shown} runs without nbray's part",
            f"{again}; if it runs another Python: pip install nbray=={__version__} there first",
        )  # fmt: skip
    if status == 0:
        return Finding(
            True, f"the Jupyter server at {shown} does not answer",
            lacks=f"the server at {shown}",
        )  # fmt: skip
    return Finding(
        False, f"at the address of nbray's part, the Jupyter server at {shown} answers "
        f"something else ({status})",
        "another of the server's extensions uses this address: jupyter server extension list",
    )  # fmt: skip


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
