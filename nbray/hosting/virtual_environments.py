"""Packages of an environment, installed by pip or uv into a virtual environment of its own.

Owns these environments: one for each list of packages, made once on a machine for a user, kept for
the next time, at most `NBRAY_ENVIRONMENTS_KEPT` of them (`NBRAY_ENVIRONMENTS_DIR`, else
`~/.cache/nbray/environments`, readable by their user only). Rules: what is installed beside nbray
is seen from inside; two processes never make the same one at once; one that is not whole is made
anew; one that a process is in is not removed. A process that enters has its packages before all
others, except those that every worker has loaded already (msgspec, cloudpickle, psutil).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting import watched_commands
from nbray.hosting.packages import add_paths, locked
from nbray.patches import interpreter

KEPT = 10
"""Environments that are kept, unless `NBRAY_ENVIRONMENTS_KEPT` says how many."""
LAST_LINES = 30
"""Lines of the installer's output that are shown when it fails."""
READY = ".nbray-ready"
"""The file in a whole environment; its time is when that was last entered."""
_in_use: list[IO[bytes]] = []
"""Held locked while this process lives: what it is in is not removed."""


def enter(env: Mapping[str, Any], until: float | None, say: Callable[[str], None]) -> None:
    """Have this process import from the environment with these packages, made if need be.

    Args:
        env: with 'pip' or 'uv', as `nbray.runtime_env` checked them.
        until: the moment (of `time.monotonic`) at which making it is given up.
        say: shows a line to whoever waits.

    Raises:
        RuntimeEnvSetupError: the installer failed; has its last lines.
        TimeoutError, OSError: it took too long, or the disk has no room.
    """
    tool = "pip" if env.get("pip") else "uv"
    wanted = env[tool]
    home = _home()
    name = key_of(tool, wanted)
    place = home / name
    use = (home / f"{name}.use").open("ab")
    _in_use.append(use)
    with locked(home / f"{name}.lock", until):
        fcntl.flock(use, fcntl.LOCK_SH)
        if not (place / READY).exists():
            listed = ", ".join(one for one in wanted["packages"] if not one.startswith("-"))
            listed = listed if len(listed) < 100 else f"{len(wanted['packages'])} packages"
            say(f"nbray: {tool} installs {listed} for this work; it is kept for the next time")
            shutil.rmtree(place, ignore_errors=True)
            began = time.monotonic()
            try:
                _make(place, tool, wanted, until)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                place.with_suffix(".log").unlink(missing_ok=True)
                raise
            say(f"nbray: installed in {time.monotonic() - began:.1f} s")
            _tidy(home)
        (place / READY).touch()
    _activate(place)


def _home() -> Path:
    said = os.environ.get("NBRAY_ENVIRONMENTS_DIR")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = Path(said) if said else Path(cache) / "nbray" / "environments"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = home.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(
            f"{home} can be changed by other users: packages are not installed there (chmod 700, "
            "or name another folder in NBRAY_ENVIRONMENTS_DIR)"
        )
    return home


def key_of(tool: str, wanted: Mapping[str, Any]) -> str:
    """What names the environment: all that decides what is in it."""
    from nbray.wire.digest import digest  # late: few have packages

    local = []
    for line in wanted["packages"]:
        path = Path(line.partition(" @ file://")[2] or line)
        with contextlib.suppress(OSError, ValueError):
            status = path.stat()
            local.append((str(path.absolute()), status.st_size, status.st_mtime_ns))
    said = json.dumps([tool, dict(wanted), sys.version, sys.prefix, local], sort_keys=True)
    return digest(said.encode()).hex()


def _make(place: Path, tool: str, wanted: Mapping[str, Any], until: float | None) -> None:
    log = place.with_suffix(".log")
    python = str(place / "bin" / "python")

    def run(what: Sequence[str]) -> None:
        _run(what, log, until)

    run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(place)])
    inside = _packages_of(place)
    parents = [*site.getsitepackages(), site.getusersitepackages()]
    parents += [path for path in sys.path if path.endswith("-packages") and path not in parents]
    (inside / "_nbray_parent.pth").write_text("\n".join(parents) + "\n")
    requirements = place / "requirements.txt"
    requirements.write_text("\n".join(wanted["packages"]) + "\n")
    version = wanted.get(f"{tool}_version", "")
    pip = [python, "-m", "pip"]
    if find_spec("pip") is None:
        run([python, "-m", "ensurepip"])
    install = [*pip, "install", "--disable-pip-version-check", "--no-input"]
    if tool == "pip":
        if version:
            run([*install, f"pip{version}"])
        run([*install, *wanted.get("pip_install_options", ()), "-r", str(requirements)])
    else:
        uv = [python, "-m", "uv"]
        if version:
            run([*install, f"uv{version}"])
        elif found := shutil.which("uv"):
            uv = [found]
        elif find_spec("uv") is None:
            run([*install, "uv"])
        options = wanted.get("uv_pip_install_options", ())
        run([*uv, "pip", "install", "--python", python, *options, "-r", str(requirements)])
    if wanted.get(f"{tool}_check"):
        run([*pip, "check"])
    log.unlink(missing_ok=True)


def _run(what: Sequence[str], log: Path, until: float | None) -> None:
    """Run an installer to its end, which, with all that it starts, is no later than ours."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    }
    with log.open("wb") as stream:
        process = subprocess.Popen(
            watched_commands.under_watch(shlex.join(what)), stdin=subprocess.PIPE, stdout=stream,
            stderr=subprocess.STDOUT, env=environ, start_new_session=True,
        )  # fmt: skip
        try:
            left = None if until is None else max(0.0, until - time.monotonic())
            code = process.wait(left)
            watched_commands.ended(process)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"making the environment took longer than config.setup_timeout_seconds allows; "
                f"this was running: {_shown(what)}\n{_tail(log)}"
            ) from None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        raise RuntimeEnvSetupError(
            f"{_shown(what)} failed (exit code {code}). Its last lines:\n{_tail(log)}"
        )


def _shown(what: Sequence[str]) -> str:
    words = what[1:] if what[0].endswith("python") else what
    return " ".join(word for word in words if word not in {"-m", "--no-input"})


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
    return ""


def _packages_of(place: Path) -> Path:
    return place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _activate(place: Path) -> None:
    before = list(sys.path)
    inside = str(_packages_of(place))
    site.addsitedir(inside)
    added = [path for path in sys.path if path not in before]
    sys.path[:] = before
    add_paths(added)
    os.environ["VIRTUAL_ENV"] = str(place)
    os.environ["PATH"] = f"{place / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    interpreter.stand_in(place)


def _tidy(home: Path) -> None:
    """Remove what is not whole, and of the rest those not entered for longest beyond those kept."""
    said = os.environ.get("NBRAY_ENVIRONMENTS_KEPT", "")
    kept = int(said) if said.isascii() and said.isdigit() else KEPT
    found = []
    for place in home.iterdir():
        if place.is_dir():
            with contextlib.suppress(OSError):
                ready = place / READY
                found.append((ready.stat().st_mtime if ready.exists() else 0.0, place))
    found.sort(reverse=True)
    for number, (entered, place) in enumerate(found):
        if entered and number < max(1, kept):
            continue
        with contextlib.suppress(OSError), (home / f"{place.name}.use").open("ab") as use:
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or a process is in it
            (place / READY).unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)
