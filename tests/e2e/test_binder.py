"""`binder/`, built by repo2docker's rules in a clean environment, and whether it is enough.

repo2docker takes its files from `binder/` alone, makes an environment with the
Python of `runtime.txt`, and runs in the repository's folder
`pip install -r binder/requirements.txt` and then `binder/postBuild`. The same
is done here, without a container. What pip would fetch for the requirements is
put there beforehand, from this environment: pip finds it, and fetches what is
missing.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path

import nbformat
import psutil
import pytest
from e2e.cli import environment
from harness import ROOT, marked, private_folder, require_or_skip
from headless import text_of
from packaging.requirements import Requirement

MEMORY = 1 << 30
"""Bytes that a session on Binder may have to itself."""
BUILT = ROOT / "labextension" / "built"
KNOWN = {"postBuild", "requirements.txt", "runtime.txt"}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Session:
    """The repository as Binder has it, and the environment that was built for it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.repository = home / "repository"
        self.prefix = home / "environment"
        self.python = self.prefix / "bin" / "python"

    def variables(self) -> dict[str, str]:
        hidden = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"}
        kept = {name: value for name, value in environment().items() if name not in hidden}
        return {
            **kept,
            "PATH": f"{self.prefix / 'bin'}:{os.environ['PATH']}",
            "JUPYTER_PLATFORM_DIRS": "1",
            "HOME": str(self.home),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "IPYTHONDIR": str(self.home / "ipython"),
        }

    def run(self, *argv: str | Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.repository, env=self.variables(), capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip


def tracked() -> list[str]:
    """The files that a clone of the repository has."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        require_or_skip("the tests do not run in a git checkout")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def wanted_python() -> str:
    """The Python that runtime.txt asks for; this one where it is the same."""
    version = (ROOT / "binder" / "runtime.txt").read_text().strip()
    found = re.fullmatch(r"python-(3\.\d+)", version)
    assert found, f"repo2docker would not understand {version!r}"
    if sys.version_info[:2] == tuple(map(int, found[1].split("."))):
        return sys.executable
    return shutil.which(f"python{found[1]}") or require_or_skip(f"no Python {found[1]} here")


def required(lines: list[str]) -> dict[str, metadata.Distribution]:
    """What is installed here of *lines* and of all that they need, nbray itself left out."""
    wanted = [Requirement(re.sub(r"^\.", "nbray", line)) for line in lines]
    found: dict[str, metadata.Distribution] = {}
    seen: set[str] = set()
    while wanted:
        one = wanted.pop()
        if str(one) in seen:
            continue
        seen.add(str(one))
        try:
            there = metadata.distribution(one.name)
        except metadata.PackageNotFoundError:
            continue  # pip fetches it
        if one.name != "nbray":
            found[one.name] = there
        for line in there.requires or ():
            more = Requirement(line)
            extras = [*one.extras, ""]
            if more.marker is None or any(more.marker.evaluate({"extra": e}) for e in extras):
                wanted.append(more)
    return found


def link(source: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copy2(source, target)


def furnish(prefix: Path, requirements: Path) -> None:
    """Put into the environment at *prefix* what the *requirements* need and is installed here."""
    lines = [line for line in requirements.read_text().splitlines() if line.strip()]
    here = Path(sys.prefix)
    for one in required([*lines, "pip"]).values():
        for file in one.files or ():
            source = Path(os.path.normpath(str(one.locate_file(file))))
            if not source.is_file() or not source.is_relative_to(here):
                continue
            target = prefix / source.relative_to(here)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.parent == prefix / "bin":
                text = source.read_bytes().replace(os.fsencode(here), os.fsencode(prefix))
                target.write_bytes(text)
                target.chmod(0o755)
            else:
                link(source, target)
                compiled = Path(cache_from_source(str(source)))
                if source.suffix == ".py" and compiled.is_file():
                    target = Path(cache_from_source(str(target)))
                    target.parent.mkdir(exist_ok=True)
                    link(compiled, target)


@pytest.fixture(scope="module")
def session(_nothing_left: None) -> Iterator[Session]:
    home = private_folder("nbt-binder-")
    try:
        made = Session(home)
        for name in tracked():
            target = made.repository / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        if BUILT.exists():  # `make` has built it from the same sources; again takes a minute
            shutil.copytree(BUILT, made.repository / "labextension" / "built")
        here = wanted_python() == sys.executable
        without = ["--without-pip"] if here else []  # it is furnished with the one that is here
        assert made.run(wanted_python(), "-m", "venv", *without, made.prefix).returncode == 0
        if here:
            furnish(made.prefix, made.repository / "binder" / "requirements.txt")
        done = made.run(
            made.python, "-m", "pip", "install", "--no-cache-dir", "-q", "-r",
            "binder/requirements.txt",
        )  # fmt: skip
        if "No matching distribution" in done.stderr or "onnection" in done.stderr:
            require_or_skip(f"no package index can be reached: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr
        script = made.repository / "binder" / "postBuild"
        script.chmod(0o755)  # as repo2docker does
        done = made.run(script)
        assert done.returncode == 0, done.stderr
        assert re.match(r"nbray \d", done.stdout)
        yield made
    finally:
        shutil.rmtree(home)


def test_all_parts_are_installed(session: Session) -> None:
    """One install brings the sidebar and the server's part, switched on."""
    done = session.run(session.prefix / "bin" / "nbray", "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the sidebar is installed: {session.prefix}" in done.stdout


@pytest.fixture(scope="module")
def lab(session: Session) -> Iterator[str]:
    """The address of the session's JupyterLab."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    server = subprocess.Popen(
        [session.python, "-m", "jupyterlab", "--no-browser", "--allow-root",
         f"--ServerApp.port={port}", f"--IdentityProvider.token={token}"],
        cwd=session.repository, env=session.variables(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/?token={token}"
    try:
        deadline = time.monotonic() + 120
        while server.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        assert server.poll() is None
        yield url
    finally:
        server.terminate()
        server.wait(60)


def test_repo2docker_knows_every_file() -> None:
    assert {path.name for path in (ROOT / "binder").iterdir()} == KNOWN


def test_a_session_opens_on_the_quickstart(lab: str) -> None:
    with urllib.request.urlopen(lab, timeout=60) as page:
        assert page.url.split("?")[0].endswith("/lab/tree/notebooks/quickstart.ipynb")


def own_memory(mark: str) -> int:
    """Bytes of all processes of the session, shared pages divided among those who share them."""
    total = 0
    for pid in marked(mark):
        try:
            total += psutil.Process(pid).memory_full_info().pss
        except psutil.Error:  # it has ended meanwhile
            continue
    return total


def test_the_quickstart_runs_there_and_fits_in_a_gigabyte(
    session: Session, lab: str, mark: str
) -> None:
    """JupyterLab's server, the kernel, and two machines with two workers each."""
    before = own_memory(mark)
    run = subprocess.Popen(
        [session.prefix / "bin" / "jupyter-execute", "--inplace", "notebooks/quickstart.ipynb"],
        cwd=session.repository, env=session.variables(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    most = before
    while run.poll() is None:
        most = max(most, own_memory(mark))
        time.sleep(0.25)
    assert run.stderr is not None
    said = run.stderr.read()
    run.stderr.close()
    assert run.returncode == 0, said
    notebook = nbformat.read(session.repository / "notebooks" / "quickstart.ipynb", as_version=4)
    assert "nbray has stopped" in text_of(notebook)
    print(f"JupyterLab {before >> 20} MB, with the quickstart at most {most >> 20} MB")
    assert most < MEMORY
