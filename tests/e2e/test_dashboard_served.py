"""The dashboard through the Jupyter server, with the real jupyter-server-proxy beside it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from e2e.cli import nbray
from e2e.dashboards import socket_to
from e2e.jupyter import Server
from harness import eventually, require_or_skip
from tornado.httpclient import HTTPClientError, HTTPRequest

from nbray.clusters.manager import ClusterManager
from nbray.dashboard.links import SERVED, link, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(no_leaks: None) -> None:
    """Every module here is checked."""


@pytest.fixture(scope="module")
def server(_nothing_left: None) -> Iterator[Server]:
    if importlib.util.find_spec("jupyter_server_proxy") is None:
        require_or_skip("jupyter-server-proxy is not installed")
    running = Server()
    try:
        running.wait_until_up()
        yield running
    finally:
        nbray("stop")
        running.close()


@pytest.fixture(scope="module")
def cluster(server: Server) -> str:
    """The id of a cluster that the sidebar has started."""
    status, answer = server.ask("POST", "api/nbray/clusters", {"cpus": 1})
    assert status == 201, answer
    (found,) = server.ask("GET", "api/nbray/clusters")[1]["clusters"]
    return str(found["id"])


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def visit(server: Server, path: str, token: str | None = None) -> tuple[int, str, str]:
    """(status, body, where it leads) of a page that a browser asks for."""
    headers = {"Authorization": f"token {server.token if token is None else token}"}
    request = urllib.request.Request(server.base + path, headers=headers if token != "" else {})
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=150) as answer:
            return answer.status, answer.read().decode(), ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers.get("Location", "")


def asked(server: Server, path: str, token: str | None = None, **headers: str) -> HTTPRequest:
    token = server.token if token is None else token
    mine = {"Authorization": f"token {token}"} if token else {}
    return HTTPRequest(server.base.replace("http", "ws") + path, headers={**mine, **headers})


def first(server: Server, path: str, wants: str, say: str = "") -> str:
    """The first message of a WebSocket in which *wants* is found."""

    async def listen() -> str:
        async with socket_to(asked(server, path)) as page:
            if say:
                await page.write_message(say)
            async with asyncio.timeout(60):
                while True:
                    text = await page.read_message()
                    assert text is not None, "it hung up"
                    if re.search(wants, str(text)):
                        return str(text)
                    if (number := json.loads(text).get("number")) is not None:
                        await page.write_message(json.dumps({"drawn": number}))

    return asyncio.run(listen())


def test_the_sidebars_requests_and_the_proxys_entry_live_side_by_side(
    server: Server, cluster: str
) -> None:
    status, answer = server.ask("GET", "api/nbray/clusters")
    assert (status, [one["id"] for one in answer["clusters"]]) == (200, [cluster])
    assert json.loads(first(server, "api/nbray/events", '"kind":"clusters"'))["clusters"]
    assert '"nodes":1' in first(server, "api/nbray/events", '"kind":"view"')
    status, page, _ = visit(server, "nbray/")
    assert status == 200
    assert "app.js" in page


def test_the_dashboard_is_served_with_everything_that_it_loads(
    server: Server, cluster: str
) -> None:
    at = f"nbray-dashboard/{cluster}/"
    status, page, _ = visit(server, at)
    assert status == 200
    for name in re.findall(r'(?:src|href)="([\w.]+\.(?:js|css))"', page):
        status, text, _ = visit(server, at + name)
        assert status == 200, name
        assert len(text) > 1000
    status, trace, _ = visit(server, f"{at}trace.json?text=none&key=wrong")
    assert (status, json.loads(trace)) == (200, {"traceEvents": []})
    nodes = first(server, f"{at}ws", "Workers", json.dumps({"section": "nodes"}))
    assert json.loads(nodes)["state"] == "live"
    assert visit(server, f"{at}nothing.here")[0] == 404


def test_addresses_that_are_nearly_right_lead_there(server: Server, cluster: str) -> None:
    for path in ("nbray-dashboard", "nbray-dashboard/", f"nbray-dashboard/{cluster}"):
        status, _, where = visit(server, path)
        assert (status, where) == (302, f"/user/ada/nbray-dashboard/{cluster}/"), path


@pytest.mark.parametrize("key", ["0000", "127.0.0.1-1", "a" * 300])
def test_a_cluster_that_is_not_here_is_said(server: Server, cluster: str, key: str) -> None:
    status, page, _ = visit(server, f"nbray-dashboard/{key}/")
    assert (status, "This cluster has ended" in page) == (404, True)
    with pytest.raises(HTTPClientError, match="404"):
        first(server, f"nbray-dashboard/{key}/ws", "never")


@pytest.mark.parametrize("token", ["", "wrong"])
def test_nobody_else_sees_it(server: Server, cluster: str, token: str) -> None:
    for path in ("", "ws", "app.js", "trace.json"):
        status, page, where = visit(server, f"nbray-dashboard/{cluster}/{path}", token)
        assert status in {302, 403}, (path, status)
        assert "login" in where or status == 403
        assert cluster not in page

    async def listen(**headers: str) -> None:
        at = f"nbray-dashboard/{cluster}/ws"
        async with socket_to(asked(server, at, token if not headers else None, **headers)):
            raise AssertionError("the socket was opened")

    with pytest.raises(HTTPClientError, match="403"):
        asyncio.run(listen())


def test_another_sites_page_gets_no_socket(server: Server, cluster: str) -> None:
    """With the user's cookie, as a browser would send it along."""
    at = f"nbray-dashboard/{cluster}/"
    with urllib.request.urlopen(f"{server.base}{at}?token={server.token}") as answer:
        given = answer.headers.get_all("Set-Cookie", [])
    cookie = "; ".join(line.partition(";")[0] for line in given)
    own = server.base.partition("/user")[0]

    async def listen(origin: str) -> None:
        request = HTTPRequest(
            server.base.replace("http", "ws") + f"{at}ws",
            headers={"Cookie": cookie, "Origin": origin},
        )
        async with socket_to(request):
            pass

    asyncio.run(listen(own))
    for origin in ("https://elsewhere.example", "null", own.replace("127.0.0.1", "localhost")):
        with pytest.raises(HTTPClientError, match="403"):
            asyncio.run(listen(origin))


def test_no_answer_holds_the_key(server: Server, cluster: str) -> None:
    key = ClusterManager().first(cluster).dashboard.key
    assert key
    for path in ("", "app.js", "trace.json", "nothing"):
        assert key not in visit(server, f"nbray-dashboard/{cluster}/{path}")[1]
    assert key not in server.log.read_text()


def test_doctor_asks_the_server_that_runs(server: Server) -> None:
    places = {
        "HOME": str(server.home), "JUPYTER_RUNTIME_DIR": str(server.home / "runtime"),
        "JUPYTER_CONFIG_DIR": str(server.home / "config"),
        "JUPYTER_DATA_DIR": str(server.home / "data"), "JUPYTER_PLATFORM_DIRS": "1",
    }  # fmt: skip
    said = nbray("doctor", **places).stdout
    assert f"ok   the Jupyter server at {server.base} serves nbray's part\n" in said, said


def test_its_kernels_know_where_the_dashboard_is(server: Server, cluster: str) -> None:
    status, kernel = server.ask("POST", "api/kernels", {})
    assert status == 201, kernel
    try:
        environs = eventually(lambda: [
            one.environ() for one in psutil.Process(server.process.pid).children()
            if any("ipykernel" in word for word in one.cmdline())
        ])  # fmt: skip
        (environ,) = environs
        assert environ[SERVED] == f"{server.process.pid}:/user/ada/"
        assert served(environ) == "/user/ada/"
        shown = link(8265, "k", environ, cluster)
        assert shown.path == f"/user/ada/nbray-dashboard/{cluster}/"
        assert visit(server, shown.path.removeprefix("/user/ada/"))[0] == 200
    finally:
        server.ask("DELETE", f"api/kernels/{kernel['id']}")


def test_when_all_have_ended_it_says_so(server: Server, cluster: str) -> None:
    """The last one here: it ends the cluster."""
    assert server.ask("DELETE", f"api/nbray/clusters/{cluster}")[0] == 204
    status, page, _ = visit(server, "nbray-dashboard/")
    assert (status, "No cluster of yours runs on this machine" in page) == (404, True)
    assert visit(server, f"nbray-dashboard/{cluster}/")[0] == 404


def test_a_dashboard_that_was_declined_starts_when_it_is_asked_for(server: Server) -> None:
    assert nbray("start", "--head", "--port=0", "--include-dashboard=false").returncode == 0
    (found,) = server.ask("GET", "api/nbray/clusters")[1]["clusters"]
    assert visit(server, f"nbray-dashboard/{found['id']}/")[0] == 200
    assert nbray("stop").returncode == 0
