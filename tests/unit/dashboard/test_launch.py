"""What is known of a cluster's dashboard before there is a process, and how one is woken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import nbray
from nbray.clusters import local
from nbray.dashboard import launch
from nbray.engine import RuntimeInfo
from nbray.engines.scripted import ScriptedEngine
from nbray.exceptions import RaySystemError
from nbray.runtime.shell.process.channel import Front


def session(folder: Path, front: Front, head: bool = True, address: str = "1.2.3.4:5") -> Any:
    return SimpleNamespace(
        directory=str(folder), head_address=address, head=head, dashboard=front, node=1, secret="s",
        cluster="c1",
    )  # fmt: skip


def engine(folder: str) -> ScriptedEngine:
    scripted = ScriptedEngine()
    scripted.context.here = RuntimeInfo(session_dir=folder)
    return scripted


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(local, "native", lambda: SimpleNamespace(records=lambda: found))
    for name in ("JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    return found


class Server:
    """Stands in for the dashboard, or for root when it turns visitors away."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.answer = (200, "a page", {})

        class Handler(BaseHTTPRequestHandler):
            server_: ClassVar[Server] = self

            def do_GET(self) -> None:
                self.server_.paths.append(self.path)
                status, body, fields = self.server_.answer
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.front = Front(self.server.server_port, "k")
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_the_link_is_known_before_anybody_looks(sessions: list[Any], tmp_path: Path) -> None:
    sessions.append(session(tmp_path, Front(8270, "k")))
    assert launch.offered(sessions[0]) == "http://127.0.0.1:8270/?key=k"
    assert launch.known(engine(str(tmp_path))) == ("http://127.0.0.1:8270/?key=k", "")
    assert launch.url(engine(str(tmp_path))) == "http://127.0.0.1:8270/?key=k"
    assert list(tmp_path.iterdir()) == [], "nothing was started for it"


def test_a_node_beside_its_head_has_the_heads(sessions: list[Any], tmp_path: Path) -> None:
    joined = session(tmp_path, Front(), head=False)
    sessions += [
        joined,
        session(tmp_path / "other", Front(8266, "other"), address="1.2.3.4:6"),
        session(tmp_path / "head", Front(8265, "k")),
    ]
    assert launch.offered(joined) == "http://127.0.0.1:8265/?key=k"


@pytest.mark.parametrize("why", ["", "none of the ports can be used"])
def test_without_one_the_address_is_empty(sessions: list[Any], tmp_path: Path, why: str) -> None:
    sessions.append(session(tmp_path, Front(why=why)))
    assert launch.known(engine(str(tmp_path))) == (None, why)
    assert launch.url(engine(str(tmp_path))) == ""
    assert launch.known(engine(str(tmp_path / "gone"))) == (None, "")
    assert launch.url(engine("")) == ""


def test_on_another_machine_one_is_started_when_it_is_asked_for(
    sessions: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.append(session(tmp_path, Front(), head=False))
    monkeypatch.setattr(launch, "_start", lambda order: launch.Answer(order.port or 8265, "new"))
    assert launch.known(engine(str(tmp_path))) == (None, "")
    assert launch.url(engine(str(tmp_path))) == "http://127.0.0.1:8265/?key=new"


def test_asking_for_it_wakes_it(sessions: list[Any], tmp_path: Path, server: Server) -> None:
    sessions.append(session(tmp_path, server.front))
    at = f"http://127.0.0.1:{server.front.port}/?key=k"
    assert launch.of_engine(engine(str(tmp_path))) == at
    assert launch.of_engine(engine(str(tmp_path)), server.front.port) == at
    assert server.paths == ["/?key=k"] * 2


def test_another_port_is_refused_with_what_to_do(sessions: list[Any], tmp_path: Path) -> None:
    sessions.append(session(tmp_path, Front(8270, "k")))
    with pytest.raises(RaySystemError, match=r"at port 8270 already.*--dashboard-port=9000"):
        launch.of_engine(engine(str(tmp_path)), 9000)


def test_what_is_wrong_is_said(sessions: list[Any], tmp_path: Path, server: Server) -> None:
    sessions.append(session(tmp_path, server.front))
    server.answer = (503, "the dashboard does not start: no tornado", {})
    with pytest.raises(RaySystemError, match=r"^the dashboard does not start: no tornado$"):
        launch.of_engine(engine(str(tmp_path)))
    server.answer = (503, "it has failed", {"Retry-After": "4"})
    (tmp_path / "dashboard.log").write_text("Traceback\nMemoryError\nit ended with exit code 1\n")
    with pytest.raises(RaySystemError, match=r"dashboard\.log\): MemoryError; it ended with exit"):
        launch.of_engine(engine(str(tmp_path)))


def test_nobody_answers(sessions: list[Any], tmp_path: Path) -> None:
    server = Server()
    server.close()
    sessions.append(session(tmp_path, server.front))
    with pytest.raises(RaySystemError, match="does not start: Connection refused"):
        launch.of_engine(engine(str(tmp_path)))


def test_an_engine_without_processes_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBRAY_ENGINE", "inline")
    with nbray.init(include_dashboard=True, dashboard_port=0) as context:
        assert context.dashboard_url == context["webui_url"] == ""
        assert "dashboard" not in repr(context).lower()
        with pytest.raises(RaySystemError, match="inline engine has no cluster"):
            nbray.dashboard()
