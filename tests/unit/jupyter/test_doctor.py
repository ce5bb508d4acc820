"""What the doctor finds in made-up installations, and the commands it gives."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nbray.cli import main
from nbray.jupyter import doctor
from nbray.jupyter.doctor import Finding, Kernel
from nbray.version import __version__

PY = "/env/bin/python"


def put(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("version", "good"), [("4.6.6", True), ("4.1.0rc1", True), ("4.0.9", False), ("3.6.7", False)]
)
def test_an_old_jupyterlab(version: str, good: bool) -> None:
    found = doctor.lab_finding(version, PY)
    assert found.good is good
    assert good or found.mend == f"{PY} -m pip install --upgrade 'jupyterlab>=4.1'"


def test_an_environment_of_a_kernel_only() -> None:
    found = doctor.lab_finding("", PY)
    assert found.good, "nothing is wrong with it"
    assert "with the Python that runs JupyterLab" in found.text


def test_the_sidebar_is_looked_for_where_jupyterlab_looks(tmp_path: Path) -> None:
    user, environment = tmp_path / "user", tmp_path / "env"
    missing = doctor.sidebar_finding([user, environment], PY)
    assert not missing.good
    assert missing.mend.startswith(f"{PY} -m pip install --force-reinstall")
    put(environment / "nbray" / "package.json", {"version": __version__})
    found = doctor.sidebar_finding([user, environment], PY)
    assert (found.good, str(environment) in found.text) == (True, True)
    put(user / "nbray" / "package.json", {"version": "0.0.1"})
    old = doctor.sidebar_finding([user, environment], PY)
    assert (old.good, "of nbray 0.0.1" in old.text) == (False, True)


def test_a_disabled_sidebar(tmp_path: Path) -> None:
    user, system = tmp_path / "user", tmp_path / "system"
    assert doctor.disabled_finding([user, system]).good
    put(system / "labconfig" / "page_config.json", {"disabledExtensions": ["nbray", "@x/y"]})
    found = doctor.disabled_finding([user, system])
    assert (found.good, found.mend) == (False, "jupyter labextension enable nbray")
    off = {"disabledExtensions": {"nbray": False, "nbray:status": True, "other": True}}
    put(user / "labconfig" / "page_config.json", off)
    found = doctor.disabled_finding([user, system])
    assert found.mend == "jupyter labextension enable nbray:status"
    put(user / "labconfig" / "page_config.json", "{broken")
    assert not doctor.disabled_finding([user, system]).good


def test_the_servers_part(tmp_path: Path) -> None:
    user, system = tmp_path / "user", tmp_path / "system"
    mend = "jupyter server extension enable nbray.jupyter.server"
    unknown = doctor.server_finding([user, system])
    assert (unknown.good, unknown.mend) == (False, mend)
    part = {"ServerApp": {"jpserver_extensions": {"nbray.jupyter.server": True}}}
    put(system / "jupyter_server_config.d" / "nbray.json", part)
    assert doctor.server_finding([user, system]).good
    part["ServerApp"]["jpserver_extensions"]["nbray.jupyter.server"] = False
    put(user / "jupyter_server_config.json", part)
    off = doctor.server_finding([user, system])
    assert (off.good, off.mend) == (False, mend)


def test_widgets() -> None:
    assert doctor.widgets_finding("3.0.17", PY).good
    assert doctor.widgets_finding("", PY).mend == f"{PY} -m pip install jupyterlab_widgets"


@pytest.mark.parametrize(
    ("said", "text", "mend"),
    [
        (Kernel((3, 11, 7), ""), "not installed", f"{PY} -m pip install nbray=={__version__}"),
        (Kernel((3, 11, 7), "9.9"), "nbray 9.9", f"{PY} -m pip install nbray=={__version__}"),
        (Kernel((3, 9, 1), ""), "Python 3.9.1 is too old", "make an environment"),
        (None, "cannot be run", "jupyter kernelspec list"),
    ],
)
def test_a_kernel_that_cannot_use_nbray(said: Kernel | None, text: str, mend: str) -> None:
    found = doctor.kernel_finding("Mine", PY, said)
    assert not found.good
    assert text in found.text
    assert found.mend.startswith(mend)


def test_a_python_is_asked() -> None:
    said = doctor.ask(sys.executable)
    assert said == Kernel(sys.version_info[:3], __version__)
    assert doctor.kernel_finding("Mine", sys.executable, said).good
    assert doctor.ask("/nowhere/python") is None


def test_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Finding(False, "the sidebar is disabled", "jupyter labextension enable nbray")
    monkeypatch.setattr(doctor, "examine", lambda: iter([Finding(True, "JupyterLab 4.6.6"), bad]))
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "ok   JupyterLab 4.6.6",
        "BAD  the sidebar is disabled",
        "       jupyter labextension enable nbray",
        "Error: one thing to mend: the line below each says how",
    ]
    monkeypatch.setattr(doctor, "examine", lambda: iter([Finding(True, "JupyterLab 4.6.6")]))
    done = CliRunner().invoke(main, ["doctor"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "Everything is in place.")


AT = "http://127.0.0.1:8888/user/ada/"


@pytest.mark.parametrize(
    ("status", "version", "good", "text"),
    [
        (200, __version__, True, f"the Jupyter server at {AT} serves nbray's part"),
        (200, "0.0.1", False, "serves nbray 0.0.1, not"),
        (200, "", False, "answers something else (200)"),
        (404, "", False, "runs without nbray's part"),
        (405, "", False, "runs without nbray's part"),
        (502, "", False, "answers something else (502)"),
        (403, "", True, "asks for a login"),
        (302, "", True, "asks for a login"),
        (0, "", True, "does not answer"),
    ],
)
def test_a_jupyter_server_that_runs(status: int, version: str, good: bool, text: str) -> None:
    found = doctor.running_finding(f"{AT}?token=very-private", status, version)
    assert (found.good, text in found.text) == (good, True), found
    assert "private" not in found.text + found.mend + found.lacks
    assert bool(found.mend) is not good


class Answers(BaseHTTPRequestHandler):
    """A Jupyter server, an old one, another program, by the path."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        status = {"old": 404, "login": 302}.get(kind, 200)
        if kind == "ours" and self.headers.get("Authorization") != "token t":
            status = 403
        body = b"<html>" if kind == "other" else b'{"clusters": [], "version": "%s"}' % (
            __version__.encode()
        )
        self.send_response(status)
        self.send_header("Location", "/ours")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_server_is_asked(answering: str) -> None:
    assert doctor.knock(f"{answering}ours/", "t") == (200, __version__)
    assert doctor.knock(f"{answering}ours", "wrong") == (403, "")
    assert doctor.knock(f"{answering}login", "") == (302, ""), "it is not followed"
    assert doctor.knock(f"{answering}old", "") == (404, "")
    assert doctor.knock(f"{answering}other", "") == (200, "")
    assert doctor.knock("http://127.0.0.1:1/", "") == (0, "")
    assert doctor.knock("what is this", "") == (0, "")


def test_all_that_run_are_asked_and_none_that_has_ended(
    answering: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    for name, about in {
        "1": {"url": f"{answering}ours/", "pid": os.getpid(), "token": ""},  # on a hub
        "2": {"url": f"{answering}old/", "pid": os.getpid(), "token": "x"},
        "3": {"url": f"{answering}old/", "pid": 2**22 + 1, "token": "x"},
        "4": "not JSON", "5": {"url": None},
    }.items():  # fmt: skip
        put(tmp_path / f"jpserver-{name}.json", about)
    found = list(doctor._servers())
    assert [one.good for one in found] == [True, False]


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ((), "Everything is in place."),
        (("", ""), "Everything is in place."),
        (("", "JupyterLab's part"),
         "Everything that was looked at is in place; not looked at: JupyterLab's part."),
        (("a", "b"), "Everything that was looked at is in place; not looked at: a, b."),
    ],
)  # fmt: skip
def test_the_last_line_does_not_contradict_the_rest(lacking: tuple[str, ...], said: str) -> None:
    assert doctor.verdict([Finding(True, "x", lacks=one) for one in lacking]) == said
    assert doctor.verdict([Finding(False, "x", "mend it")]) == ""


def test_without_jupyterlab_the_last_line_says_what_was_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "_version", lambda _: "")
    monkeypatch.setattr(doctor, "_servers", lambda: iter(()))
    monkeypatch.setattr(doctor, "_kernels", lambda: iter(()))
    done = CliRunner().invoke(main, ["doctor"])
    assert "JupyterLab is not installed" in done.output
    assert done.output.splitlines()[-1].endswith("not looked at: JupyterLab's part.")
