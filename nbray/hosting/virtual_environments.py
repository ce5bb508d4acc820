"""Packages of an environment, in a virtual environment of their own that a worker enters.

Owns these environments: one for each list of packages, made once on a machine for a user, kept for
the next time, at most `NBRAY_ENVIRONMENTS_KEPT` of them (`NBRAY_ENVIRONMENTS_DIR`, else
`~/.cache/nbray/environments`, readable by their user only). Does not own how one is made
(`installing`), nor its locks (`kept_folders`). Rules: what is installed beside nbray is seen from
inside; one that is not whole is made anew. A process that enters has its packages before all
others, except those that every worker has loaded already (msgspec, cloudpickle, psutil).
"""

from __future__ import annotations

import contextlib
import json
import os
import site
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting import kept_folders
from nbray.hosting.setup_progress import SetupProgress, uncoloured
from nbray.hosting.unpacking import add_paths
from nbray.patches import interpreter

KEPT = 10
"""Environments that are kept, unless `NBRAY_ENVIRONMENTS_KEPT` says how many."""
FORM = 2
"""Changes with what `installing` makes: environments of another form are not used."""
READY = ".nbray-ready"
"""The file in a whole one, with what was installed; its time is when it was last entered."""
PARENT = "_nbray_parent.pth"
"""The file by which what is installed beside nbray is seen by an interpreter started from there."""
WORKING_DIR = "RAY_RUNTIME_ENV_CREATE_WORKING_DIR"
"""The variable by which requirements can name files in the job's folder, as in Ray."""
_SMALL = 1 << 20
"""Bytes of a list of requirements that are looked at."""
_BUILT = frozenset({"build", "dist", "__pycache__"})
"""Folders that building a package makes in it."""


def enter(env: Mapping[str, Any], until: float | None, progress: SetupProgress) -> None:
    """Have this process import from the environment with these packages, made if need be.

    Raises what `made` does.
    """
    _activate(made(env, until, progress, os.environ))


def made(
    env: Mapping[str, Any], until: float | None, progress: SetupProgress,
    environ: Mapping[str, str], folder: str = "",
) -> Path:  # fmt: skip
    """The virtual environment with these packages, of which this process is a user from now on.

    Args:
        env: with 'pip' or 'uv', as `nbray.runtime_env` checked them.
        until: the moment (of `time.monotonic`) at which making it is given up.
        environ: the variables that the installer gets, and those that say where it is kept.
        folder: in which it runs ('': this process's).

    Raises:
        RuntimeEnvSetupError: the installer failed; has its last lines.
        TimeoutError, OSError: it took too long, or the disk has no room.
    """
    tool = "pip" if env.get("pip") else "uv"
    wanted = env[tool]
    home = _home(environ)
    folder = folder or os.getcwd()
    place = home / key_of(tool, wanted, folder)
    names = listed(wanted["packages"])
    what = f"{tool} installs {names}"
    failed = kept_folders.beside(place, "failed")
    waited = False
    since = time.time()

    def meanwhile() -> None:
        nonlocal waited
        waited = True
        progress.now(what, last_line(kept_folders.beside(place, "log")))

    try:
        with kept_folders.locked(place, until, meanwhile):
            kept_folders.use(place)
            try:
                if not _whole(place):
                    if waited and failed.exists() and failed.stat().st_mtime >= since:
                        raise RuntimeEnvSetupError(failed.read_text(errors="replace"))
                    began = time.monotonic()
                    _make(Plan(place, tool, wanted, until, environ, folder), progress, what)
                    took = f"{time.monotonic() - began:.1f} s"
                    progress.say(f"nbray: {tool} installed {names} in {took}; it is kept for later")
                (place / READY).touch()
            except BaseException:
                kept_folders.let_go(place)
                raise
    finally:
        if waited:
            progress.now("", "")
    return place


class Plan(NamedTuple):
    """What is to be made, and how."""

    place: Path
    tool: str
    wanted: Mapping[str, Any]
    until: float | None
    environ: Mapping[str, str]
    folder: str


def _make(plan: Plan, progress: SetupProgress, what: str) -> None:
    from nbray.hosting import installing  # late: an environment is made once

    place = plan.place
    try:
        progress.now(what, "")
        installing.install(plan, lambda line: progress.now(what, line))
        (place / READY).write_text(json.dumps(_inside(place)))
        _tidy(place.parent)
    except BaseException as error:
        installing.remove(place)
        kept_folders.beside(place, "log").unlink(missing_ok=True)
        if isinstance(error, RuntimeEnvSetupError):  # who waits for it need not find that out
            with contextlib.suppress(OSError):
                kept_folders.beside(place, "failed").write_text(error.error_message or "")
        raise
    finally:
        progress.now("", "")


def listed(packages: list[str]) -> str:
    """What to call them in a sentence."""
    names = [os.path.basename(one) for one in packages if not one.startswith("-")]
    text = ", ".join(names)
    return text if text and len(text) < 100 else f"{len(packages)} packages"


def last_line(log: Path) -> str:
    """The last line of an installer's output that says something."""
    with contextlib.suppress(OSError), log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - 2000))
        text = uncoloured(stream.read().decode(errors="replace")).replace("\r", "\n")
        return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")
    return ""


def _home(environ: Mapping[str, str]) -> Path:
    said = environ.get("NBRAY_ENVIRONMENTS_DIR")
    cache = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = Path(said) if said else Path(cache) / "nbray" / "environments"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = home.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(
            f"{home} can be changed by other users: packages are not installed there (chmod 700, "
            "or name another folder in NBRAY_ENVIRONMENTS_DIR)"
        )
    return home


# -- what one is known by ---------------------------------------------------------------


def key_of(tool: str, wanted: Mapping[str, Any], folder: str) -> str:
    """What names the environment: all that decides what is in it (made in *folder*)."""
    local = [said for line in wanted["packages"] for said in _local(line, folder)]
    said = json.dumps([FORM, tool, dict(wanted), sys.version, sys.prefix, local], sort_keys=True)
    return kept_folders.name_of(said.encode())


def _local(line: str, folder: str) -> Iterator[Any]:
    """What a requirement that is a file or folder of this machine is at the moment."""
    option, _, rest = line.partition(" ")
    text = rest.strip() if option.startswith("-") and rest else line
    text = text.partition("file://")[2] or text.partition("[")[0]
    path = Path(folder, text.strip().replace(f"${{{WORKING_DIR}}}", folder))
    with contextlib.suppress(OSError, ValueError):
        status = path.stat()
        if path.is_dir():
            yield from _tree(path)
        elif option in {"-r", "--requirement", "-c", "--constraint"} and status.st_size < _SMALL:
            yield path.read_text(errors="replace")
        else:
            yield str(path.absolute()), status.st_size, status.st_mtime_ns


def _tree(folder: Path) -> Iterator[Any]:
    """The files of a package's source, without what building it makes."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders
            if name not in _BUILT and not name.endswith(".egg-info") and name[0] != "."
        )  # fmt: skip
        for name in sorted(names):
            status = os.stat(os.path.join(here, name), follow_symlinks=False)
            yield os.path.join(here, name), status.st_size, status.st_mtime_ns


def _inside(place: Path) -> list[str]:
    return sorted(name for name in os.listdir(packages_of(place)) if name != "__pycache__")


def _whole(place: Path) -> bool:
    """Whether it was made to its end, and nothing of it has gone since."""
    try:
        names = json.loads((place / READY).read_text())
        return set(names) <= set(_inside(place)) and (place / "bin" / "python").exists()
    except (OSError, ValueError, TypeError):
        return False


# -- entering ---------------------------------------------------------------------------


def packages_of(place: Path) -> Path:
    """The folder in *place* that packages are installed into."""
    return place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _activate(place: Path) -> None:
    before = list(sys.path)
    inside = str(packages_of(place))
    sys.path[:] = [inside]
    for name in sorted(os.listdir(inside)):
        if name.endswith(".pth") and name != PARENT:
            site.addpackage(inside, name, None)
    added = [path for path in sys.path if path not in before]
    sys.path[:] = before
    add_paths(added)
    os.environ["VIRTUAL_ENV"] = str(place)
    os.environ["PATH"] = f"{place / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    interpreter.stand_in(place)


def _tidy(home: Path) -> None:
    """Remove what is not whole, and of the rest those not entered for longest beyond those kept."""
    from nbray.hosting import installing  # late: an environment is made once

    said = os.environ.get("NBRAY_ENVIRONMENTS_KEPT", "")
    kept = int(said) if said.isascii() and said.isdigit() else KEPT
    found = []
    for place in home.iterdir():
        if place.is_dir():
            with contextlib.suppress(OSError):
                ready = place / READY
                found.append((ready.stat().st_mtime if ready.exists() else 0.0, place))
    for lock in home.glob("*.lock"):
        if not (place := lock.with_suffix("")).exists():  # it could not be made
            kept_folders.remove_unused(place, installing.remove)
    found.sort(reverse=True)
    for number, (entered, place) in enumerate(found):
        if not entered or number >= max(1, kept):
            kept_folders.remove_unused(place, installing.remove)
