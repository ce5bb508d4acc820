"""The server extension over real HTTP: clusters found, started, grown, shrunk, stopped; who may."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e.cli import environment, nbray, run
from e2e.jupyter import Server
from harness import ROOT, eventually, marked
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from nbray.clusters import start_command
from nbray.clusters.launcher import Interpreter, Refused
from nbray.config import NodeRequest
from nbray.engine import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KERNEL = (
    "import nbray, time; nbray.init(num_cpus=1, _redis_password='*** the secret ***' * 3);"
    "print('up', flush=True); time.sleep(600)"
)

JOIN = r"printf %s \S+ \| nbray start --address=\S+ --secret-file=-"


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(no_leaks: None) -> None:
    """Every module here is checked."""


@pytest.fixture(scope="module")
def server(_nothing_left: None) -> Iterator[Server]:
    running = Server(proxy=False)
    try:
        running.wait_until_up()
        yield running
    finally:
        nbray("stop")
        running.close()


@pytest.fixture(autouse=True)
def _none_at_first() -> Iterator[None]:
    yield
    nbray("stop")


def listed(server: Server) -> list[dict[str, Any]]:
    status, answer = server.ask("GET", "api/nbray/clusters")
    assert status == 200, answer
    return list(answer["clusters"])


@asynccontextmanager
async def relay(
    server: Server, token: str | None = None
) -> AsyncIterator[WebSocketClientConnection]:
    """The page's socket."""
    token = server.token if token is None else token
    address = server.base.replace("http", "ws") + "api/nbray/events"
    request = HTTPRequest(address, headers={"Authorization": f"token {token}"} if token else {})
    socket = await websocket_connect(request)
    try:
        yield socket
    finally:
        socket.close()
        async with asyncio.timeout(60):
            while await socket.read_message() is not None:  # until the server has closed, too
                pass


async def until(
    socket: WebSocketClientConnection, wanted: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The first message that is *wanted*."""
    async with asyncio.timeout(60):
        while True:
            text = await socket.read_message()
            assert text is not None, "the server closed the socket"
            message = json.loads(text)
            if wanted(message):
                return dict(message)


def test_an_empty_list_says_why(server: Server) -> None:
    status, answer = server.ask("GET", "api/nbray/clusters")
    assert (status, answer["clusters"]) == (200, [])
    assert "No cluster of yours runs on this machine" in answer["note"]
    assert server.ask("GET", "nbray/")[0] == 404, "jupyter-server-proxy is not in this one"


def test_from_none_to_three_nodes_and_back(server: Server) -> None:
    status, answer = server.ask("POST", "api/nbray/clusters", {"cpus": 2})
    assert status == 201, answer
    assert answer["address"].startswith("127.0.0.1:")
    (cluster,) = listed(server)
    assert cluster["address"] == answer["address"]
    assert (cluster["executable"], cluster["added"]) == (sys.executable, 0)
    nodes = f"api/nbray/clusters/{cluster['id']}/nodes"
    for count in (1, 2):
        assert server.ask("POST", nodes, {})[0] == 201
        assert listed(server)[0]["added"] == count

    async def look() -> dict[str, Any]:
        async with relay(server) as socket:
            return await until(socket, lambda told: told.get("nodes") == 3)

    seen = asyncio.run(look())
    assert (seen["cpus"], seen["busy"], seen["error"]) == (4.0, 0.0, "")
    assert "3 nodes" in seen["html"]
    for count in (1, 0):
        assert server.ask("DELETE", nodes)[0] == 204
        assert listed(server)[0]["added"] == count
    status, answer = server.ask("DELETE", nodes)
    assert status == 409
    assert "only the head is left" in answer["message"]
    assert server.ask("DELETE", f"api/nbray/clusters/{cluster['id']}")[0] == 204
    assert listed(server) == []
    status, answer = server.ask("DELETE", f"api/nbray/clusters/{cluster['id']}")
    assert (status, answer["message"]) == (409, "this cluster has ended")


def test_any_cluster_of_the_user_is_found_and_watched(server: Server, mark: str) -> None:
    """One that a script holds privately, and one of a terminal; nobody looks: nothing runs."""
    script = subprocess.Popen(
        [sys.executable, "-c", KERNEL], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert script.stdout is not None
    try:
        assert script.stdout.readline().strip() == "up"
        assert nbray("start", "--head", "--port=0", "--num-cpus=1").returncode == 0
        terminal, private = listed(server)
        assert terminal["origin"] == ""
        assert f"(pid {script.pid})" in private["origin"]
        secrets = {record.secret for record in load("native").records()}  # type: ignore[attr-defined]
        assert len(secrets) == 2

        async def look() -> list[str]:
            texts: list[str] = []
            async with relay(server) as socket, asyncio.timeout(60):
                seen: set[str] = set()
                while seen != {terminal["id"], private["id"]}:
                    text = str(await socket.read_message())
                    texts.append(text)
                    told = json.loads(text)
                    if told.get("nodes") == 1:
                        seen.add(told["id"])
                await socket.write_message("rest")
                assert await asyncio.to_thread(eventually, lambda: not observers(mark))
                await socket.write_message("look")
                await until(socket, lambda told: told.get("nodes") == 1)
            return texts

        for text in [*asyncio.run(look()), json.dumps(server.ask("GET", "api/nbray/clusters"))]:
            assert not [secret for secret in secrets if secret in text]
    finally:
        script.kill()
        script.wait()
        script.stdout.close()
    assert eventually(lambda: not observers(mark)), observers(mark)


def test_a_node_that_was_added_ends_with_the_notebooks_cluster(server: Server, mark: str) -> None:
    script = subprocess.Popen(
        [sys.executable, "-c", KERNEL], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert script.stdout is not None
    try:
        assert script.stdout.readline().strip() == "up"
        (private,) = listed(server)
        assert server.ask("POST", f"api/nbray/clusters/{private['id']}/nodes", {})[0] == 201
        assert listed(server)[0]["added"] == 1
    finally:
        script.kill()
        script.wait()
        script.stdout.close()
    assert eventually(lambda: not listed(server)), marked(mark)


def test_observers_end_with_the_server(mark: str) -> None:
    """Also when it is killed and can end nothing in order."""
    other = Server()
    try:
        other.wait_until_up()
        assert other.ask("POST", "api/nbray/clusters", {"cpus": 1})[0] == 201

        async def look() -> None:
            async with relay(other) as socket:
                await until(socket, lambda told: told.get("nodes") == 1)
                assert observers(mark)
                other.process.kill()

        asyncio.run(look())
        assert eventually(lambda: not observers(mark)), observers(mark)
        assert len(load("native").records()) == 1, "the cluster itself goes on"  # type: ignore[attr-defined]
    finally:
        other.close()


def observers(mark: str) -> list[str]:
    return [line for line in marked(mark).values() if "observer" in line]


def test_the_line_for_joining_is_given_when_asked(server: Server) -> None:
    server.ask("POST", "api/nbray/clusters", {"cpus": 1})
    (cluster,) = listed(server)
    path = f"api/nbray/clusters/{cluster['id']}/join"

    async def join() -> tuple[int, Any]:
        async with relay(server) as socket:
            await until(socket, lambda told: told.get("nodes") == 1)
            return await asyncio.to_thread(server.ask, "POST", path, {})

    status, answer = asyncio.run(join())
    assert status == 200, answer
    assert re.fullmatch(JOIN, answer["line"])
    assert server.ask("GET", path)[0] == 405


@pytest.mark.parametrize("token", ["", "wrong"])
def test_nobody_else_is_told_anything(server: Server, token: str) -> None:
    server.ask("POST", "api/nbray/clusters", {"cpus": 1})
    (cluster,) = listed(server)
    one = f"api/nbray/clusters/{cluster['id']}"
    for method, path in [
        ("GET", "api/nbray/clusters"), ("POST", "api/nbray/clusters"), ("DELETE", one),
        ("POST", f"{one}/nodes"), ("DELETE", f"{one}/nodes"), ("POST", f"{one}/join"),
    ]:  # fmt: skip
        status, answer = server.ask(method, path, {} if method == "POST" else None, token)
        assert status in {401, 403}, (method, path, status)
        assert cluster["address"] not in json.dumps(answer)

    async def listen() -> None:
        async with relay(server, token):
            raise AssertionError("the socket was opened")

    with pytest.raises(HTTPClientError, match="403"):
        asyncio.run(listen())
    assert len(listed(server)) == 1


def other_environment(folder: Path, *more: Path) -> str:
    """The Python of a new virtual environment with this one's packages and *more*."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    paths = [sysconfig.get_path("purelib"), *map(str, more)]
    (Path(packages) / "those.pth").write_text("\n".join(paths))
    return str(folder / "bin" / "python")


def test_a_cluster_runs_in_the_notebooks_own_environment(server: Server, tmp_path: Path) -> None:
    """Two environments: JupyterLab's, and the one the notebook's kernel comes from."""
    python = other_environment(tmp_path / "lab env", ROOT)
    spec = server.kernels / "other"
    spec.mkdir(parents=True)
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"argv": argv, "display_name": "Other", "language": "python", "env": {"NBT_X": "7"}}
    (spec / "kernel.json").write_text(json.dumps(about))
    status, kernel = server.ask("POST", "api/kernels", {"name": "other"})
    assert status == 201, kernel
    try:
        asked = {"kernel": kernel["id"], "cpus": 1}
        status, answer = server.ask("POST", "api/nbray/clusters", asked)
        assert (status, answer["python"], answer["name"]) == (201, python, "Other")
        (cluster,) = listed(server)
        assert cluster["executable"] == python != sys.executable
        program = (
            "import nbray, os, sys; nbray.init(address='auto');"
            "see = nbray.remote(lambda: (sys.prefix, os.environ['NBT_X']));"
            "print(*nbray.get(see.remote()), sep='|')"
        )
        done = run([python, "-c", program])
        assert done.stdout.strip() == f"{tmp_path / 'lab env'}|7", done.stderr

        async def look() -> dict[str, Any]:
            async with relay(server) as socket:
                return await until(socket, lambda told: told.get("nodes") == 1)

        assert asyncio.run(look())["error"] == ""  # the observer runs there too
    finally:
        server.ask("DELETE", f"api/kernels/{kernel['id']}")


def test_an_environment_without_nbray_is_named(server: Server, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    with pytest.raises(Refused) as refused:
        start_command.run(
            Interpreter(python, {"PATH": os.environ["PATH"]}), NodeRequest(head=True)
        )
    assert str(refused.value) == (
        f"nbray is not installed for {python}: run `{python} -m pip install nbray`"
    )
    assert listed(server) == []


def test_what_cannot_be_is_refused(server: Server) -> None:
    status, answer = server.ask("POST", "api/nbray/clusters", {"kernel": "gone"})
    assert status == 409
    assert "kernel has ended" in answer["message"]
    assert server.ask("POST", "api/nbray/clusters", {"cpus": "many"})[0] == 400
    assert server.ask("POST", "api/nbray/clusters", {"cpus": -1})[0] == 400
