"""A program with a cluster and a dashboard, and what a page of it does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from e2e import cli
from harness import MARK, marked
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

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


def fetch(url: str, **headers: str) -> tuple[int, str, str]:
    """(status, body, cookie)."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
            return answer.status, answer.read().decode(), cookie
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), ""


def socket_of(link: str, page: str) -> str:
    """The WebSocket's address of a page that came by its link, with the pass, for `socket_to`."""
    found = re.search(r'name="nbray-pass" content="(\w+)"', page)
    return f"ws://{urlsplit(link).netloc}/ws" + (f"?pass={found[1]}" if found else "")


@asynccontextmanager
async def socket_to(request: HTTPRequest, **options: Any) -> AsyncIterator[Any]:
    """A page's WebSocket; closed in the end, whatever happens."""
    request.url, _, shown = request.url.partition("?pass=")
    page = await websocket_connect(request, **options)
    if shown:
        await page.write_message(json.dumps({"pass": shown}))
    try:
        yield page
    finally:
        page.close()
        while await asyncio.wait_for(page.read_message(), 60) is not None:
            pass


def section(link: str, name: str, until: str, **query: str) -> str:
    """The HTML of a section once it matches *until*, as a page would get it."""
    parts = urlsplit(link)
    _, shell, cookie = fetch(link)

    async def run() -> str:
        headers = {"Cookie": cookie, "Origin": f"http://{parts.netloc}"}
        request = HTTPRequest(socket_of(link, shell), headers=headers)
        async with socket_to(request) as page:
            await page.write_message(json.dumps({"section": name, "query": query}))
            html = ""
            while not re.search(until, re.sub(r"<[^>]+>", " ", html)):
                text = await asyncio.wait_for(page.read_message(), 60)
                assert text is not None, "the dashboard has closed the connection"
                piece: dict[str, Any] = json.loads(text)
                html = piece.get("html", html)
                await page.write_message(json.dumps({"drawn": piece["number"]}))
            return html

    return asyncio.run(run())


def dashboards(mark: str) -> list[int]:
    return [pid for pid, line in marked(mark).items() if "nbray.dashboard.__main__" in line]


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


def stop(printed: str) -> None:
    """End the cluster that `nbray start` *printed* about, and no other."""
    address = cli.worker_line(printed)[1].partition("=")[2]
    (record,) = [one for one in native.records() if one.head_address == address]
    native.stop_session(record)
