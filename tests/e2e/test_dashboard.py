"""The dashboard for real: its process beside a cluster, through HTTP and its WebSocket."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import tornado.netutil
from e2e import cli
from e2e.front import Front
from harness import MARK, Traces, assert_nothing_left, eventually, marked, run_directory
from jupyter_client.manager import start_new_kernel
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from nbray.dashboard import proxy

PROGRAM = textwrap.dedent(
    """
    import sys, time, nbray
    context = nbray.init(num_cpus=2)

    @nbray.remote
    def segment(number):
        print("segmenting", number)
        time.sleep(0.02)
        if number == 7:
            raise ValueError("a bad photo")
        return number

    @nbray.remote
    class Counter:
        def increment(self):
            return 1

    counter = Counter.options(name="counter").remote()
    big = nbray.put(bytes(3_000_000))
    refs = [segment.remote(number) for number in range(40)]
    nbray.get(counter.increment.remote())
    nbray.wait(refs, num_returns=len(refs))
    print(nbray.dashboard(), flush=True)
    print(context["dashboard_url"], flush=True)
    sleeper = segment.options(name="sleeper").remote(100)
    for line in sys.stdin:
        exec(line)
    """
)


class Program:
    """A script with a cluster of its own and a dashboard."""

    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=cli.environment(**environment),
        )
        assert self.process.stdout is not None
        links = []
        for line in self.process.stdout:
            if "?key=" in line:
                links.append(line.strip())
            if len(links) == 2:
                break
        self.link, self.again = links

    def do(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    started = Program()
    yield started
    started.close()


def fetch(url: str, **headers: str) -> tuple[int, str, str]:
    """(status, body, cookie)."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
            return answer.status, answer.read().decode(), cookie
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), ""


@asynccontextmanager
async def socket_to(request: HTTPRequest, **options: Any) -> AsyncIterator[Any]:
    """A page's WebSocket; closed in the end, whatever happens."""
    page = await websocket_connect(request, **options)
    try:
        yield page
    finally:
        page.close()
        while await asyncio.wait_for(page.read_message(), 20) is not None:
            pass


def section(link: str, name: str, until: str, **query: str) -> str:
    """The HTML of a section once it matches *until*, as a page would get it."""
    parts = urlsplit(link)
    _, _, cookie = fetch(link)

    async def run() -> str:
        headers = {"Cookie": cookie, "Origin": f"http://{parts.netloc}"}
        request = HTTPRequest(f"ws://{parts.netloc}/ws", headers=headers)
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": name, "query": query}))
            html = ""
            while not re.search(until, re.sub(r"<[^>]+>", " ", html)):
                text = await asyncio.wait_for(page.read_message(), 20)
                assert text is not None, "the dashboard has closed the connection"
                piece: dict[str, Any] = json.loads(text)
                html = piece.get("html", html)
                await page.write_message(json.dumps({"drawn": piece["number"]}))
            return html

    return asyncio.run(run())


def dashboards(mark: str) -> list[int]:
    return [pid for pid, line in marked(mark).items() if "nbray.dashboard.__main__" in line]


def test_it_starts_once_and_needs_the_link(program: Program, mark: str) -> None:
    assert program.link == program.again
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
        ("overview", r"driver \d+", {}),
        ("nodes", r"Counter counter", {}),
        ("tasks", r"a bad photo", {"state": "failed"}),
        ("tasks", r"sleeper +done", {"text": "sleeper"}),
        ("tasks", r"1 to 40 of|\b4\d", {"by": "function"}),
        ("actors", r"Counter +counter +alive", {}),
        ("objects", r"put +2.9 MB +stored", {}),
        ("logs", r"segmenting 39", {}),
        ("timeline", r"Counter.increment", {}),
    ],
)
def test_each_section_shows_the_cluster(
    program: Program, name: str, until: str, query: dict[str, str]
) -> None:
    section(program.link, name, until, **query)


def test_updates_arrive_while_it_is_open(program: Program) -> None:
    parts = urlsplit(program.link)
    _, _, cookie = fetch(program.link)

    async def run() -> None:
        request = HTTPRequest(f"ws://{parts.netloc}/ws", headers={"Cookie": cookie})
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": "tasks", "query": {"text": "fresh"}}))
            seen = ""
            asked = False
            while "1 to 3 of 3" not in seen and "· 1 to 3" not in seen and seen.count("<tr>") < 4:
                text = await asyncio.wait_for(page.read_message(), 20)
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


def test_it_can_be_ended_and_started_again(program: Program, mark: str) -> None:
    done = cli.nbray("dashboard", "--stop")
    assert done.stdout.strip() == "the dashboard has ended"
    assert eventually(lambda: not dashboards(mark))
    assert cli.nbray("dashboard", "--stop").stdout.strip() == "no dashboard runs"
    again = cli.nbray("dashboard").stdout.strip()
    assert again != program.link, "a new one has a new key"
    assert fetch(again)[0] == 200


@pytest.mark.parametrize("how", ["killed", "in order"])
def test_it_ends_with_its_cluster_and_leaves_nothing(mark: str, how: str) -> None:
    before = Traces.now(mark)
    own = Program()
    assert fetch(own.link)[0] == 200
    if how == "in order":
        own.do("nbray.shutdown(); sys.exit()")
        own.process.wait(20)
    own.close()
    assert_nothing_left(before, mark)
    with pytest.raises(OSError):
        urllib.request.urlopen(own.link)


@pytest.mark.parametrize("how", ["killed", "in order"])
def test_a_page_is_told_that_the_cluster_has_ended(mark: str, how: str) -> None:
    before = Traces.now(mark)
    own = Program()
    parts = urlsplit(own.link)
    _, _, cookie = fetch(own.link)

    async def run() -> None:
        request = HTTPRequest(f"ws://{parts.netloc}/ws", headers={"Cookie": cookie})
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": "overview"}))
            state = ""
            while state != "ended":
                text = await asyncio.wait_for(page.read_message(), 20)
                assert text is not None, f"hung up without a last word, after {state!r}"
                piece = json.loads(text)
                await page.write_message(json.dumps({"drawn": piece["number"]}))
                if not state:
                    assert piece["state"] == "live"
                    own.do("nbray.shutdown(); sys.exit()") if how == "in order" else own.close()
                state = piece["state"]

    asyncio.run(run())
    if how == "in order":
        own.process.wait(20)
        own.close()
    assert_nothing_left(before, mark)


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
            "import json, shlex, subprocess; from nbray import session; "
            "name, *line = shlex.split(session.current().join_line()); "
            "assert name == 'nbray'; far = json.dumps({'far': 2}); "
            f"subprocess.run([{cli.NBRAY[0]!r}, *line, '--resources', far], check=True)"
        )
        program.do("there = segment.options(name='elsewhere', resources={'far': 1})")
        program.do("kept = [there.remote(number) for number in range(6)]")
        rows = section(program.link, "tasks", r"1 to 6 of 6|· 6", text="elsewhere", state="done")
        text = re.sub(r"<[^>]+>", " ", rows)
        assert re.search(r"elsewhere +done +script \d+ +\S+ · 2 \d+ +[\d.]+ s ago +2\d ms", text)
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
        html = section(link[0], "overview", r"1 of 1")
        assert re.search(r"\[\d+\] @remote", re.sub(r"<[^>]+>", " ", html))
        assert "notebook" in html
        shown = front.run("nbray.dashboard()._repr_html_()").result
        assert "<a href=" in shown
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def test_without_a_cluster_the_command_line_says_what_to_do() -> None:
    eventually(lambda: not list(run_directory().glob("*/record.json")))
    done = cli.nbray("dashboard", NBRAY_RUN_DIR=str(run_directory()) + "2")
    Path(str(run_directory()) + "2").rmdir()
    assert done.returncode == 1
    assert "nbray start --head" in done.stderr


def test_a_port_that_is_taken(program: Program) -> None:
    taken = urlsplit(program.link).port
    other = Program()
    try:
        assert urlsplit(other.link).port != taken
        cli.nbray("dashboard", "--stop")
        begun = time.monotonic()
        done = cli.nbray("dashboard", "--port", str(taken))
        assert time.monotonic() - begun < 30
        assert done.returncode == 1
        assert f"port {taken} cannot be used" in done.stderr
    finally:
        other.close()


def test_behind_a_private_socket_for_jupyters_proxy(mark: str, tmp_path: Path) -> None:
    """As jupyter-server-proxy starts it: before any cluster, and it finds the one that comes."""
    eventually(lambda: not list(run_directory().glob("*/record.json")))
    before = Traces.now(mark)
    path = tmp_path / "socket"
    line = [str(path) if word == "{unix_socket}" else word for word in proxy.setup()["command"]]
    server = subprocess.Popen(line, env=cli.environment(), cwd=tmp_path)
    program = None
    try:
        assert eventually(path.exists)
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
        server.wait(20)
    assert not path.exists()
    assert_nothing_left(before, mark)


async def through(path: Path, url: str, host: str, origin: str) -> tuple[int, str]:
    """(status, body) of a request over a Unix socket."""
    reader, writer = await asyncio.open_unix_connection(path)
    headers = [f"GET {url} HTTP/1.1", f"Host: {host}", "Connection: close"]
    headers += [f"Origin: {origin}"] if origin else []
    writer.write("\r\n".join([*headers, "", ""]).encode())
    answer = (await asyncio.wait_for(reader.read(), 20)).decode()
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
            text = await asyncio.wait_for(page.read_message(), 20)
            assert text is not None
            piece = json.loads(text)
            html = piece.get("html", html)
            await page.write_message(json.dumps({"drawn": piece["number"]}))
        return html
