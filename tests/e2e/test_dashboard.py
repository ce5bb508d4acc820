"""The dashboard for real: its process beside a cluster, through HTTP and its WebSocket."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import tornado.netutil
from e2e import cli
from e2e.dashboards import Program, dashboards, fetch, section, socket_of, socket_to
from e2e.front import Front
from harness import MARK, Traces, assert_nothing_left, eventually, run_directory
from jupyter_client.manager import start_new_kernel
from tornado.httpclient import HTTPRequest

from nbray.dashboard import proxy


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    started = Program()
    yield started
    started.close()


def test_it_starts_once_and_needs_the_link(program: Program, mark: str) -> None:
    assert program.again == [program.link] * 2
    assert len(dashboards(mark)) == 1
    base = program.link.partition("?")[0]
    assert fetch(base)[0] == 401
    assert fetch(program.link, Host="evil.com")[0] == 403
    assert fetch(program.link, Origin="http://evil.com")[0] == 403
    status, page, cookie = fetch(program.link)
    assert status == 200
    assert "<title>nbray</title>" in page
    assert fetch(base, Cookie=cookie)[0] == 200


@pytest.mark.parametrize(
    ("name", "until", "query"),
    [
        ("overview", r"40 of 42|41 of 42|39 of 4", {}),
        ("overview", r"script · pid \d+", {}),
        ("nodes", r"Counter counter", {}),
        ("tasks", r"a bad photo", {"state": "failed"}),
        ("tasks", r"sleeper +done", {"text": "sleeper"}),
        ("tasks", r"1 to 40 of|\b4\d", {"by": "function"}),
        ("actors", r"Counter +counter +alive", {}),
        ("objects", r"put .*2.9 MB +stored", {}),
        ("logs", r"segmenting 39", {}),
        ("timeline", r"Counter.increment", {}),
    ],
)
def test_each_section_shows_the_cluster(
    program: Program, name: str, until: str, query: dict[str, str]
) -> None:
    section(program.link, name, until, **query)


def test_updates_arrive_while_it_is_open(program: Program) -> None:
    _, shell, cookie = fetch(program.link)

    async def run() -> None:
        request = HTTPRequest(socket_of(program.link, shell), headers={"Cookie": cookie})
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": "tasks", "query": {"text": "fresh"}}))
            seen = ""
            asked = False
            while "1 to 3 of 3" not in seen and "· 1 to 3" not in seen and seen.count("<tr>") < 4:
                text = await asyncio.wait_for(page.read_message(), 60)
                piece = json.loads(text)
                seen = piece.get("html", seen)
                await page.write_message(json.dumps({"drawn": piece["number"]}))
                if not asked:
                    asked = True
                    program.do("kept = [segment.options(name='fresh').remote(n) for n in range(3)]")

    asyncio.run(run())


def test_the_command_line_finds_the_one_that_runs(program: Program) -> None:
    done = cli.nbray("dashboard")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == program.link


def test_its_records_are_private(program: Program) -> None:
    (record,) = run_directory().glob("*/dashboard.json")
    assert record.stat().st_mode & 0o077 == 0
    key = urlsplit(program.link).query.partition("=")[2]
    assert json.loads(record.read_text())["key"] == key
    for pid in dashboards(os.environ[MARK]):
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert key.encode() not in line


def test_on_a_hub_the_link_and_the_gate_know_it() -> None:
    hub = Program(
        JUPYTERHUB_SERVICE_PREFIX="/user/x/",
        JUPYTERHUB_PUBLIC_URL="https://hub.example.org/user/x/",
    )
    try:
        match = re.fullmatch(
            r"https://hub\.example\.org/user/x/proxy/(\d+)/\?key=(.+)", hub.link
        )
        assert match
        local = f"http://127.0.0.1:{match[1]}/"
        status, _, cookie = fetch(f"{local}?key={match[2]}", Host="hub.example.org")
        assert status == 200
        assert fetch(local, Host="hub.example.org", Cookie=cookie)[0] == 200
        assert fetch(local, Host="evil.com", Cookie=cookie)[0] == 401
    finally:
        hub.close()


def test_work_on_another_node_is_seen_from_this_one() -> None:
    """What a worker elsewhere runs comes by way of its node, by its own clock turned into ours."""
    program = Program()
    try:
        program.do(
            "import json, subprocess; from nbray import session; "
            "line = session.current().cluster.join_line(); far = json.dumps({'far': 2}); "
            f"line = line.replace('nbray start', {' '.join([*cli.NBRAY, 'start'])!r}); "
            "subprocess.run(f\"{line} --resources='{far}'\", shell=True, check=True)"
        )
        program.do("there = segment.options(name='elsewhere', resources={'far': 1})")
        program.do("kept = [there.remote(number) for number in range(6)]")
        rows = section(program.link, "tasks", r"1 to 6 of 6|· 6", text="elsewhere", state="done")
        text = re.sub(r"<[^>]+>", " ", rows)
        row = (
            r"elsewhere +done +script · pid \d+ +\S+ · 2 · pid \d+ +[\d.]+ s ago "
            r"+(?:[2-9]\d|\d{3,}) ms"
        )
        assert re.search(row, text)
        html = section(program.link, "nodes", "Further resources")
        assert "of 2" in html
    finally:
        program.close()  # its head ends, and the node that has joined with it


def test_in_a_notebook_the_link_is_a_link() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    front = Front(manager, client)
    try:
        front.run("%load_ext nbray\n%nbray start --cpus 1")
        answer = front.run("%nbray dashboard")
        assert "http://127.0.0.1:" in answer.result, answer.traceback
        link = re.search(r"http\S+", answer.result)
        assert link
        front.run("@remote\ndef f():\n    return 1\nnbray.get(f.remote())")
        html = section(link[0], "overview", r"nbray\.get\(f")
        assert re.search(r"\[\d+\] nbray\.get\(f\.remote\(\)\)", re.sub(r"<[^>]+>", " ", html))
        assert "notebook" in html
        shown = front.run("nbray.dashboard()._repr_html_()").result
        assert "<a href=" in shown
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def test_without_a_cluster_the_command_line_says_what_to_do() -> None:
    done = cli.nbray("dashboard", NBRAY_RUN_DIR=str(run_directory()) + "2")
    Path(str(run_directory()) + "2").rmdir()
    assert done.returncode == 1
    assert "nbray start --head" in done.stderr


def test_behind_a_private_socket_for_jupyters_proxy(mark: str, tmp_path: Path) -> None:
    """As jupyter-server-proxy starts it; it finds the cluster that comes."""
    before = Traces.now(mark)
    path = tmp_path / "socket"
    line = [str(path) if word == "{unix_socket}" else word for word in proxy.setup()["command"]]
    server = subprocess.Popen(line, env=cli.environment(), cwd=tmp_path)
    program = None
    try:
        assert eventually(lambda: answers(path))
        assert path.stat().st_mode & 0o077 == 0
        status, page = asyncio.run(through(path, "/", "hub.example.org", ""))
        assert (status, "<title>nbray</title>" in page) == (200, True)
        assert asyncio.run(through(path, "/", "hub.example.org", "https://evil.com"))[0] == 403
        program = Program()
        seen = asyncio.run(watch(path, "Counter.increment"))
        assert "segment" in seen
    finally:
        if program is not None:
            program.close()
        server.terminate()
        server.wait(60)
    assert not path.exists()
    assert_nothing_left(before, mark)


def answers(path: Path) -> bool:
    """Whether somebody listens there (the file is there a moment before)."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


async def through(path: Path, url: str, host: str, origin: str) -> tuple[int, str]:
    """(status, body) of a request over a Unix socket."""
    reader, writer = await asyncio.open_unix_connection(path)
    headers = [f"GET {url} HTTP/1.1", f"Host: {host}", "Connection: close"]
    headers += [f"Origin: {origin}"] if origin else []
    writer.write("\r\n".join([*headers, "", ""]).encode())
    answer = (await asyncio.wait_for(reader.read(), 60)).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def watch(path: Path, until: str) -> str:
    """The tasks by function once they contain *until*, over a WebSocket on a Unix socket."""

    class Resolver(tornado.netutil.Resolver):
        async def resolve(self, *_: Any, **__: Any) -> Any:
            return [(socket.AF_UNIX, str(path))]

    request = HTTPRequest("ws://localhost/ws")
    async with socket_to(request, resolver=Resolver()) as page:
        await page.write_message(json.dumps({"section": "tasks", "query": {"by": "function"}}))
        html = ""
        while until not in html:
            text = await asyncio.wait_for(page.read_message(), 60)
            assert text is not None
            piece = json.loads(text)
            html = piece.get("html", html)
            await page.write_message(json.dumps({"drawn": piece["number"]}))
        return html
