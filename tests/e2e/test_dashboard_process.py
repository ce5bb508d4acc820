"""The dashboard's process and port: waiting, woken, stopped, broken, at rest, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from e2e import cli
from e2e.dashboards import Program, dashboards, fetch, listening, socket_of, socket_to, stop
from harness import Traces, assert_nothing_left, eventually, free_port, run_directory
from tornado.httpclient import HTTPRequest


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    started = Program()
    yield started
    started.close()


def test_it_can_be_ended_and_started_again(program: Program, mark: str) -> None:
    _, _, cookie = fetch(program.link)
    done = cli.nbray("dashboard", "--stop")
    assert done.stdout.strip() == "the dashboard has ended; whoever opens its link starts it again"
    assert eventually(lambda: not dashboards(mark))
    assert cli.nbray("dashboard", "--stop").stdout.strip() == "no dashboard runs"
    base = program.link.partition("?")[0]
    assert fetch(base, Cookie=cookie)[0] == 200, "a page that was open is good for the next one"
    assert len(dashboards(mark)) == 1
    assert cli.nbray("dashboard").stdout.strip() == program.link


def test_a_page_is_told_that_it_was_stopped(program: Program) -> None:
    _, shell, cookie = fetch(program.link)

    async def run() -> str:
        request = HTTPRequest(socket_of(program.link, shell), headers={"Cookie": cookie})
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
        assert eventually(lambda: fetch(program.link)[0] == 200)
        assert eventually(lambda: len(dashboards(mark)) == 1)
        (pid,) = dashboards(mark)
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda pid=pid: pid not in dashboards(mark))
    assert eventually(lambda: fetch(program.link)[0] == 200)


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_who_does_not_ask_is_hung_up_on(program: Program, words: bytes) -> None:
    port = urlsplit(program.link).port
    assert eventually(lambda: fetch(program.link)[0] == 200)
    silent = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(100)]
    for one in silent if words else ():
        one.sendall(words)
    assert fetch(program.link)[0] == 200
    for one in silent:
        one.settimeout(60)
        if words:
            assert one.recv(10) == b"", "it waits for the rest of the request"
        one.close()
    assert fetch(program.link)[0] == 200


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
        assert eventually(lambda: any("the next try in" in log.read_text() for log in logs))
        broken.unlink()
        assert eventually(lambda: fetch(own.link)[0] == 200, step=0.5)
    finally:
        own.close()


IMPATIENT = textwrap.dedent(
    """
    import sys
    if any("nbray.dashboard.__main__" in word for word in sys.orig_argv):
        import nbray.dashboard.__main__ as process
        process.REST = 2.0
    """
)


def test_it_rests_when_nobody_looks_and_is_woken_again(mark: str, tmp_path: Path) -> None:
    """Here after two seconds; a page that is open keeps it awake."""
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)
    others = set(dashboards(mark))

    def running() -> set[int]:
        return set(dashboards(mark)) - others

    own = Program(False, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    base = own.link.partition("?")[0]

    async def look(cookie: str) -> None:
        request = HTTPRequest(socket_of(own.link, shell), headers={"Cookie": cookie})
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": "overview"}))
            assert await asyncio.wait_for(page.read_message(), 60) is not None
            before = running()
            await asyncio.sleep(3)
            assert running() == before

    try:
        status, shell, cookie = fetch(own.link)
        assert status == 200
        asyncio.run(look(cookie))
        assert eventually(lambda: not running())
        assert eventually(lambda: fetch(base, Cookie=cookie)[0] == 200), "its cookie is good"
        assert eventually(lambda: not running())
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
        own.process.wait(60)
    own.close()
    assert_nothing_left(before, mark)
    with pytest.raises(OSError):
        urllib.request.urlopen(own.link)


@pytest.mark.parametrize("how", ["killed", "in order"])
def test_a_page_is_told_that_the_cluster_has_ended(mark: str, how: str) -> None:
    before = Traces.now(mark)
    own = Program()
    _, shell, cookie = fetch(own.link)

    async def run() -> None:
        request = HTTPRequest(socket_of(own.link, shell), headers={"Cookie": cookie})
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": "overview"}))
            state = ""
            while state != "ended":
                text = await asyncio.wait_for(page.read_message(), 60)
                assert text is not None, f"hung up without a last word, after {state!r}"
                piece = json.loads(text)
                await page.write_message(json.dumps({"drawn": piece["number"]}))
                if not state:
                    assert piece["state"] == "live"
                    own.do("nbray.shutdown(); sys.exit()") if how == "in order" else own.close()
                state = piece["state"]

    asyncio.run(run())
    if how == "in order":
        own.process.wait(60)
        own.close()
    assert_nothing_left(before, mark)


def is_free(port: int) -> bool:
    with socket.socket() as here:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            here.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


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
    assert eventually(lambda: is_free(mine))
    free = free_port()  # not that one: tests beside this take those near 8265
    done = cli.nbray(*begun, f"--dashboard-port={free}")
    assert done.returncode == 0, done.stderr
    stop(done.stdout)
    assert f"http://127.0.0.1:{free}/?key=" in done.stdout
