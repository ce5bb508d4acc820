"""Making a virtual environment by pip or uv.

Owns the commands, their output and their ends: with all that they start they end no later than this
process, nor than the time allowed. Does not own where environments lie nor who uses them
(`virtual_environments`).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting import kept_folders, watched_commands
from nbray.hosting.virtual_environments import (
    PARENT,
    READY,
    WORKING_DIR,
    Plan,
    last_line,
    packages_of,
)

LAST_LINES = 30
"""Lines of the installer's output that are shown when it fails."""
REQUIREMENTS = "requirements.txt"
"""The file in an environment with what was asked for, a package each line."""
SHOWN = 400
"""Characters of a command that are shown."""
LOOK = 0.25
"""Seconds between two looks at what the installer says."""
_NOT_THEIRS = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"})
"""Variables of this process that installers do not get."""


def install(plan: Plan, told: Callable[[str], None]) -> None:
    """Make a virtual environment.

    Args:
        told: what the installer says, its latest line, again and again.

    Raises:
        RuntimeEnvSetupError: the installer failed; has its last lines.
        TimeoutError: it took too long.
    """
    place, tool, wanted = plan.place, plan.tool, plan.wanted
    remove(place)
    log = kept_folders.beside(place, "log")
    python = str(place / "bin" / "python")

    def run(what: Sequence[str]) -> None:
        _run(what, log, plan, told)

    run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(place)])
    parents = [*site.getsitepackages(), site.getusersitepackages()]
    parents += [path for path in sys.path if path.endswith("-packages") and path not in parents]
    (packages_of(place) / PARENT).write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in parents)
    )
    requirements = place / REQUIREMENTS
    requirements.write_text("\n".join(wanted["packages"]) + "\n")
    version = wanted.get(f"{tool}_version", "")
    pip = [python, "-m", "pip"]
    if find_spec("pip") is None:
        run([python, "-m", "ensurepip"])
    more = [*pip, "install", "--disable-pip-version-check", "--no-input"]
    if tool == "pip":
        if version:
            run([*more, f"pip{version}"])
        run([*more, *wanted.get("pip_install_options", ()), "-r", str(requirements)])
    else:
        uv = [python, "-m", "uv"]
        if version:
            run([*more, f"uv{version}"])
        elif found := shutil.which("uv", path=plan.environ.get("PATH")):
            uv = [found]
        elif find_spec("uv") is None:
            run([*more, "uv"])
        options = wanted.get("uv_pip_install_options", ())
        run([*uv, "pip", "install", "--python", python, *options, "-r", str(requirements)])
    if wanted.get(f"{tool}_check"):
        run([*pip, "check"])
    log.unlink(missing_ok=True)


def remove(place: Path) -> None:
    """Take it away; what cannot be taken away is not whole any more."""
    (place / READY).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)


def _run(what: Sequence[str], log: Path, plan: Plan, told: Callable[[str], None]) -> None:
    """Run an installer to its end, which, with all that it starts, is no later than ours."""
    environ = {name: value for name, value in plan.environ.items() if name not in _NOT_THEIRS}
    environ[WORKING_DIR] = plan.folder
    with log.open("wb") as stream:
        process = subprocess.Popen(
            watched_commands.under_watch(shlex.join(what)), stdin=subprocess.PIPE, stdout=stream,
            stderr=subprocess.STDOUT, env=environ, cwd=plan.folder, start_new_session=True,
        )  # fmt: skip
        try:
            code = _wait(process, log, plan.until, told)
            watched_commands.ended(process)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"making the environment took longer than config.setup_timeout_seconds allows; "
                f"this was running: {_shown(what, plan)}\n{_tail(log)}"
            ) from None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
    if code:
        raise RuntimeEnvSetupError(
            f"{_shown(what, plan)} failed (exit code {code}). Its last lines:\n{_tail(log)}"
        )


def _wait(
    process: subprocess.Popen[bytes], log: Path, until: float | None,
    told: Callable[[str], None],
) -> int:  # fmt: skip
    """Its exit code; `subprocess.TimeoutExpired` at *until*."""
    while True:
        left = LOOK if until is None else until - time.monotonic()
        try:
            return process.wait(max(0.0, min(LOOK, left)))
        except subprocess.TimeoutExpired:
            if left <= LOOK and until is not None and time.monotonic() >= until:
                raise
            told(last_line(log))


def _shown(what: Sequence[str], plan: Plan) -> str:
    """The command as its reader would have written it."""
    words = list(what[1:] if what[0].endswith("python") else what)
    if words[-1].endswith(REQUIREMENTS):  # it is gone by then
        words[-2:] = [line for line in plan.wanted["packages"] if line.strip()]
    python = str(plan.place / "bin" / "python")
    left_out = {"-m", "--no-input", "--disable-pip-version-check", "--python", python}
    text = " ".join(word for word in words if word not in left_out)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
    return ""
