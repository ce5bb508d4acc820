"""The HTTP side, in this process, over a cluster that is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest
from details import details, task
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.websocket import websocket_connect
from unit.dashboard.fakes import RECORD, FakeLauncher

from nbray.dashboard.access import Access
from nbray.dashboard.feed import Feed
from nbray.dashboard.server import application, ticking, watching
from nbray.dashboard.source import Source

KEY = "the-key"


class Site:
    """A server on a free port."""

    def __init__(self, access: Access | None = None) -> None:
        self.launcher = FakeLauncher()
        self.feed = Feed(Source(self.launcher, lambda: RECORD))
        socket, self.port = bind_unused_port()
        self.host = f"127.0.0.1:{self.port}"
        self.access = access or Access(KEY)
        self.server = HTTPServer(application(self.feed, self.access, "nbray-test"))
        self.server.add_sockets([socket])
        self.pulse = ticking(self.feed)

    async def get(self, path: str, **headers: str) -> HTTPResponse:
        request = HTTPRequest(f"http://{self.host}{path}", headers=headers, follow_redirects=False)
        return await AsyncHTTPClient().fetch(request, raise_error=False)

    async def enter(self) -> str:
        """The cookie that the link leaves."""
        answer = await self.get(f"/?key={KEY}")
        assert answer.code == 200
        cookie = SimpleCookie(answer.headers["Set-Cookie"])["nbray-test"]
        return f"nbray-test={cookie.value}"

    async def socket(self, **headers: str) -> Any:
        """A page's, which shows its pass."""
        opened = await self.bare_socket(**headers)
        shown = self.access.passing(headers.get("Host", self.host))
        await opened.write_message(json.dumps({"pass": shown}))
        return opened

    async def bare_socket(self, query: str = "", **headers: str) -> Any:
        return await websocket_connect(HTTPRequest(f"ws://{self.host}/ws{query}", headers=headers))

    def close(self) -> None:
        self.pulse.stop()
        self.server.stop()


async def closed(socket: Any) -> None:
    """Close it, and wait until it is."""
    socket.close()
    while await socket.read_message() is not None:
        pass


def on(work: Callable[[Site], Awaitable[None]], access: Access | None = None) -> None:
    """Run *work* with a site."""

    async def run() -> None:
        site = Site(access)
        try:
            await work(site)
        finally:
            site.close()
            await site.server.close_all_connections()

    loop = IOLoop(make_current=False)
    try:
        loop.run_sync(run, timeout=60)
    finally:
        loop.close(all_fds=True)


@pytest.mark.parametrize("path", ["/", "/app.js", "/page.css", "/trace.json", "/nowhere", "/ws"])
def test_no_key_401(path: str) -> None:
    async def work(site: Site) -> None:
        answer = await site.get(path)
        assert answer.code == 401
        assert KEY.encode() not in answer.body

    on(work)


@pytest.mark.parametrize("path", ["/", "/app.js", "/trace.json", "/ws"])
def test_foreign_host_or_origin_403_even_with_the_key(path: str) -> None:
    async def work(site: Site) -> None:
        cookie = await site.enter()
        for headers in ({"Host": "evil.com"}, {"Origin": "http://evil.com"}):
            answer = await site.get(f"{path}?key={KEY}", Cookie=cookie, **headers)
            assert answer.code == 403

    on(work)


def test_the_link_opens_the_page_and_the_cookie_does_afterwards() -> None:
    async def work(site: Site) -> None:
        first = await site.get(f"/?key={KEY}")
        raw = first.headers["Set-Cookie"]
        assert "HttpOnly" in raw
        assert "SameSite=Lax" in raw
        assert "Path" not in raw, "the browser takes the folder it sees, a proxy's prefix included"
        assert KEY not in raw
        cookie = await site.enter()
        for path in ("/", "/app.js", "/page.css"):
            assert (await site.get(path, Cookie=cookie)).code == 200
        assert (await site.get("/nowhere", Cookie=cookie)).code == 404
        assert (await site.get("/", Cookie="nbray-test=forged")).code == 401

    on(work)


def test_the_cookie_alone_which_every_port_sees_opens_nothing_but_the_empty_page() -> None:
    async def work(site: Site) -> None:
        cookie = await site.enter()
        page = (await site.get("/", Cookie=cookie)).body.decode()
        assert "nbray-pass" not in page
        assert (await site.get("/trace.json", Cookie=cookie)).code == 401
        assert (await site.get("/trace.json?pass=forged", Cookie=cookie)).code == 401
        mark = cookie.partition("=")[2]
        for said in ({"section": "tasks"}, {"pass": ""}, {"pass": mark}, {"pass": 1}, [], "x"):
            socket = await site.bare_socket(Cookie=cookie, Origin=f"http://{site.host}")
            await socket.write_message(json.dumps(said))
            assert await socket.read_message() is None
            assert socket.close_code == 4401
            socket.close()
        assert not site.feed.pages
        page = (await site.get(f"/?key={KEY}")).body.decode()
        (shown,) = re.findall(r'name="nbray-pass" content="(\w+)"', page)
        assert (await site.get(f"/trace.json?pass={shown}", Cookie=cookie)).code == 200

    on(work)


def test_the_page_is_strict_and_relative() -> None:
    async def work(site: Site) -> None:
        answer = await site.get(f"/?key={KEY}")
        page = answer.body.decode()
        assert KEY not in page
        for address in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert not address.startswith(("/", "http")), address
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        script = (await site.get(f"/app.js?key={KEY}")).body.decode()
        assert 'fetch("/' not in script
        assert "http://" not in script

    on(work)


def test_the_socket_sends_sections() -> None:
    async def work(site: Site) -> None:
        cookie = await site.enter()
        site.launcher.engine.insight.known = details(tasks=(task(1, name="measure"),))
        socket = await site.socket(Cookie=cookie, Origin=f"http://{site.host}")
        socket.write_message(json.dumps({"section": "tasks"}))
        piece = json.loads(await socket.read_message())
        assert piece["section"] == "tasks"
        assert "measure" in piece["html"]
        await closed(socket)

    on(work)


def test_a_page_elsewhere_cannot_open_the_socket() -> None:
    async def work(site: Site) -> None:
        cookie = await site.enter()
        for headers, code in (
            ({"Cookie": cookie, "Origin": "http://evil.com"}, 403),
            ({"Cookie": cookie, "Host": "evil.com"}, 403),
            ({"Origin": f"http://{site.host}"}, 401),
        ):
            with pytest.raises(HTTPClientError) as refused:
                await site.socket(**headers)
            assert refused.value.code == code

    on(work)


def test_under_a_hubs_name_and_prefix() -> None:
    async def work(site: Site) -> None:
        answer = await site.get(f"/?key={KEY}", Host="hub.example.org")
        cookie = SimpleCookie(answer.headers["Set-Cookie"])["nbray-test"].value
        given = {
            "Cookie": f"nbray-test={cookie}",
            "Host": "hub.example.org",
            "Origin": "https://hub.example.org",
        }
        socket = await site.socket(**given)
        socket.write_message(json.dumps({"section": "nodes"}))
        assert "host1" in json.loads(await socket.read_message())["html"]
        await closed(socket)

    on(work, Access(KEY, hub=True))


def test_the_trace_holds_what_was_asked_for() -> None:
    async def work(site: Site) -> None:
        site.launcher.engine.insight.known = details(tasks=(task(1), task(2, name="measure")))
        answer = await site.get(f"/trace.json?key={KEY}&function=measure")
        names = [e["name"] for e in json.loads(answer.body)["traceEvents"] if e["ph"] == "X"]
        assert names == ["measure"]
        assert "attachment" in answer.headers["Content-Disposition"]

    on(work)


def test_hostile_messages_do_no_harm() -> None:
    async def work(site: Site) -> None:
        cookie = await site.enter()
        socket = await site.socket(Cookie=cookie)
        for text in ("", "[]", '{"section": "tasks", "query": {"page": "' + "9" * 40 + '"}}'):
            socket.write_message(text)
        assert json.loads(await socket.read_message())["section"] == "tasks"
        await closed(socket)

    on(work)


def test_watching_calls_once_when_it_is_over() -> None:
    async def run() -> None:
        ended: list[int] = []
        watch = watching(lambda: False, lambda: ended.append(1))
        watch.callback()
        assert ended == [1]
        assert not watch.is_running()

    IOLoop(make_current=False).run_sync(run)
