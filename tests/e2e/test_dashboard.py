"""The dashboard for real: its process beside a cluster, through HTTP and its WebSocket."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
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
from nbray.engines import native

PROGRAM = textwrap.dedent(
    """
    import sys, time, nbray
    context = nbray.init(num_cpus=2)
    print(context.dashboard_url, flush=True)

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
    print(context["webui_url"], flush=True)
    sleeper = segment.options(name="sleeper").remote(100)
    for line in sys.stdin:
        exec(line)
    """
)


SHORT = textwrap.dedent(
    """
    import sys, nbray
    print(nbray.init({}).dashboard_url, flush=True)
    for line in sys.stdin:
        exec(line)
    """
)


class Program:
    """A script with a cluster of its own and the link to its dashboard; without *looks* at rest."""

    def __init__(self, looks: bool = True, how: str = "num_cpus=2", **environment: str) -> None:
        program = PROGRAM if looks else SHORT.format(how)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=cli.environment(**environment),
        )
        assert self.process.stdout is not None
        links = []
        for line in self.process.stdout:
            if "?key=" in line or not line.strip():
                links.append(line.strip())
            if len(links) == (3 if looks else 1):
                break
        self.link, *self.again = links

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
    _, _, cookie = fetch(program.link)
    done = cli.nbray("dashboard", "--stop")
    assert done.stdout.strip() == "the dashboard has ended; whoever opens its link starts it again"
    assert eventually(lambda: not dashboards(mark), 60)
    assert cli.nbray("dashboard", "--stop").stdout.strip() == "no dashboard runs"
    base = program.link.partition("?")[0]
    assert fetch(base, Cookie=cookie)[0] == 200, "a page that was open is good for the next one"
    assert len(dashboards(mark)) == 1
    assert cli.nbray("dashboard").stdout.strip() == program.link


def test_a_page_is_told_that_it_was_stopped(program: Program) -> None:
    parts = urlsplit(program.link)
    _, _, cookie = fetch(program.link)

    async def run() -> str:
        request = HTTPRequest(f"ws://{parts.netloc}/ws", headers={"Cookie": cookie})
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": "overview"}))
            stopping = None
            while True:
                text = await asyncio.wait_for(page.read_message(), 60)
                assert text is not None, "hung up without a last word"
                piece = json.loads(text)
                await page.write_message(json.dumps({"drawn": piece["number"]}))
                if piece["state"] == "ended":
                    await asyncio.wait_for(stopping, 60)
                    return str(piece["why"])
                if stopping is None:
                    stopping = asyncio.create_task(
                        asyncio.to_thread(cli.nbray, "dashboard", "--stop")
                    )

    assert "reload this page" in asyncio.run(run())


def test_killed_it_is_woken_again(program: Program, mark: str) -> None:
    for _ in range(2):
        assert eventually(lambda: fetch(program.link)[0] == 200, 60)
        assert eventually(lambda: len(dashboards(mark)) == 1, 60)
        (pid,) = dashboards(mark)
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda pid=pid: pid not in dashboards(mark), 60)
    assert eventually(lambda: fetch(program.link)[0] == 200, 60)


def listening(link: str) -> dict[int, str]:
    """Pid to command line of the marked processes that hold the socket of *link*'s port."""
    wanted = f"0100007F:{urlsplit(link).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    (inode,) = {row[9] for row in rows if row[1] == wanted and row[3] == "0A"}
    found = {}
    for pid, line in marked(os.environ[MARK]).items():
        try:
            holds = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:  # ended meanwhile
            continue
        if f"socket:[{inode}]" in holds:
            found[pid] = line
    return found


def test_the_link_printed_by_start_waits_for_whoever_opens_it(mark: str) -> None:
    """Nothing runs for it before, nobody but root holds the port, and nothing is left of it."""
    before = Traces.now(mark)
    others = set(dashboards(mark))
    done = cli.nbray(
        "start", "--head", "--node-ip-address=127.0.0.1", "--port=0", "--num-cpus=2"
    )
    assert done.returncode == 0, done.stderr
    try:
        (link,) = re.findall(r"http://127\.0\.0\.1:\d+/\?key=\w+", done.stdout)
        address = cli.worker_line(done.stdout)[1].partition("=")[2]
        work = (
            "import nbray; context = nbray.init('auto'); "
            "f = nbray.remote(lambda n: n); "
            "print(nbray.get([f.remote(n) for n in range(40)])[-1], context.dashboard_url)"
        )
        ran = cli.run([sys.executable, "-c", work], NBRAY_ADDRESS=address)
        assert ran.stdout.split() == ["39", link], ran.stderr
        assert set(dashboards(mark)) <= others
        holders = listening(link)
        assert len(holders) == 1, holders
        assert any("shell.root" in line for line in holders.values()), holders
        base = link.partition("?")[0]
        assert fetch(base, Host="evil.com")[0] == 403
        assert fetch(base)[0] == 401
        assert fetch(f"{base}?key=wrong")[0] == 401
        status, _, cookie = fetch(link)
        assert status == 200
        assert fetch(base, Cookie=cookie)[0] == 200
        assert len(set(dashboards(mark)) - others) == 1
        shown = cli.nbray("dashboard", "--address", address)
        assert shown.stdout.strip() == link
    finally:
        stop(done.stdout)
    assert_nothing_left(before, mark)
    with pytest.raises(OSError):
        urllib.request.urlopen(link)


def stop(printed: str) -> None:
    """End the cluster that `nbray start` *printed* about, and no other."""
    address = cli.worker_line(printed)[1].partition("=")[2]
    (record,) = [one for one in native.records() if one.head_address == address]
    native.stop_session(record)


def test_a_broken_start_says_why_to_who_may_know(mark: str, tmp_path: Path) -> None:
    """It is tried again in vain with pauses, and works once the cause is mended."""
    broken = tmp_path / "tornado.py"
    broken.write_text("raise ImportError('tornado is broken here')\n")
    own = Program(False, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    try:
        base = own.link.partition("?")[0]
        status, body, _ = fetch(own.link)
        assert status == 503
        assert "tornado is broken here" in body
        status, body, _ = fetch(base)
        assert status in {401, 503}, "503: it rests before the next try"
        assert "broken here" not in body
        done = cli.nbray("dashboard")
        assert done.returncode == 1
        assert "tornado is broken here" in done.stderr
        logs = list(run_directory().glob("*/dashboard.log"))
        assert eventually(lambda: any("the next try in" in log.read_text() for log in logs), 60)
        broken.unlink()
        assert eventually(lambda: fetch(own.link)[0] == 200, 60, 0.5)
    finally:
        own.close()


IMPATIENT = textwrap.dedent(
    """
    import sys
    if any("nbray.dashboard.__main__" in word for word in sys.orig_argv):
        import nbray.dashboard.__main__ as process
        process.REST = 1.0
    """
)


def test_it_rests_when_nobody_looks_and_is_woken_again(mark: str, tmp_path: Path) -> None:
    """Here after a second; a page that is open keeps it awake."""
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)
    others = set(dashboards(mark))

    def running() -> set[int]:
        return set(dashboards(mark)) - others

    own = Program(False, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    parts = urlsplit(own.link)
    base = own.link.partition("?")[0]

    async def look(cookie: str) -> None:
        request = HTTPRequest(f"ws://{parts.netloc}/ws", headers={"Cookie": cookie})
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": "overview"}))
            assert await asyncio.wait_for(page.read_message(), 60) is not None
            before = running()
            await asyncio.sleep(3)
            assert running() == before

    try:
        status, _, cookie = fetch(own.link)
        assert status == 200
        asyncio.run(look(cookie))
        assert eventually(lambda: not running(), 60)
        assert eventually(lambda: fetch(base, Cookie=cookie)[0] == 200, 60), "its cookie is good"
        assert eventually(lambda: not running(), 60)
    finally:
        own.close()


def test_without_a_dashboard_no_port_listens(mark: str) -> None:
    others = set(dashboards(mark))
    own = Program(False, how="include_dashboard=False")
    try:
        assert own.link == ""
        assert set(dashboards(mark)) <= others
        done = cli.nbray("dashboard")  # asked for, it is there all the same
        assert done.returncode == 0, done.stderr
        assert fetch(done.stdout.strip())[0] == 200
        assert cli.nbray("dashboard", "--stop").stdout.strip() == "the dashboard has ended"
    finally:
        own.close()


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
    done = cli.nbray("dashboard", NBRAY_RUN_DIR=str(run_directory()) + "2")
    Path(str(run_directory()) + "2").rmdir()
    assert done.returncode == 1
    assert "nbray start --head" in done.stderr


def test_a_port_that_is_taken(program: Program) -> None:
    taken = urlsplit(program.link).port
    other = Program(False)
    try:
        mine = urlsplit(other.link).port
        assert mine != taken
        done = cli.nbray("dashboard", "--port", str(taken))
        assert done.returncode == 1
        assert f"the dashboard of this cluster is at port {mine} already" in done.stderr
        begun = ("start", "--head", "--node-ip-address=127.0.0.1", "--port=0")
        done = cli.nbray(*begun, f"--dashboard-port={taken}")
        assert done.returncode == 1
        assert f"port {taken} cannot be used for the dashboard" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    finally:
        other.close()
    done = cli.nbray(*begun, f"--dashboard-port={mine}")  # it is free again
    assert done.returncode == 0, done.stderr
    stop(done.stdout)
    assert f"http://127.0.0.1:{mine}/?key=" in done.stdout


def test_behind_a_private_socket_for_jupyters_proxy(mark: str, tmp_path: Path) -> None:
    """As jupyter-server-proxy starts it; it finds the cluster that comes."""
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
