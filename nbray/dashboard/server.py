"""The HTTP side: one page, its two files, one WebSocket, and the trace to download.

Owns the transport and its headers. Does not own who may enter (`access`), nor
what is shown (`feed`). Rules: every request passes the gate; every address is
relative, so that the page works under any prefix; nothing is loaded from
elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import msgspec
import tornado.ioloop
import tornado.web
import tornado.websocket

from nbray import details as d
from nbray.dashboard.access import Access, Verdict
from nbray.dashboard.feed import TICK, Feed, Page, query_of
from nbray.view.names import Names
from nbray.view.render import render
from nbray.view.sections import SECTIONS
from nbray.view.tasks import bars
from nbray.view.timeline import chrome_trace

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FILES = {
    "app.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
}
NO_PASS = 4401
"""Why a page's connection is closed that shows no pass."""
MOST_FRAME = 64 * 1024
"""Bytes of a message from a page."""


class _Proof(msgspec.Struct, frozen=True):
    """A page's first message."""

    shown: str = msgspec.field(name="pass")


class _Gate(tornado.web.RequestHandler):
    """Lets nobody pass whom `Access` refuses."""

    access: Access
    cookie: str
    feed: Feed
    data = False
    """It shows what the cluster does, and not only the empty page."""

    def initialize(self, access: Access, cookie: str, feed: Feed) -> None:
        self.access, self.cookie, self.feed = access, cookie, feed

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def judge(self) -> Verdict:
        """What the gate says of this request."""
        request = self.request
        verdict = self.access.judge(
            request.headers.get("Host", ""),
            request.headers.get("Origin"),
            self.get_query_argument("key", ""),
            self.get_cookie(self.cookie, "") or "",
            self.get_query_argument("pass", "") if self.data else None,
        )
        if verdict.cookie:
            # No path: the browser takes the folder of the address that it sees, prefix included.
            self.set_cookie(self.cookie, verdict.cookie, path="", httponly=True, samesite="Lax")
        return verdict

    def prepare(self) -> None:
        verdict = self.judge()
        if verdict.status != 200:
            self.set_status(verdict.status)
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.finish(render("refused", status=verdict.status, why=verdict.why))

    def log_exception(self, *arguments: Any) -> None:
        if not isinstance(arguments[1], tornado.web.HTTPError):
            super().log_exception(*arguments)


class _Page(_Gate):
    def get(self) -> None:
        """The page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        by_link = self.access.opens(self.get_query_argument("key", ""))
        shown = self.access.passing(self.request.headers.get("Host", "")) if by_link else ""
        page = render("page", sections=list(SECTIONS.values()), shown=shown)
        self.write(f"<!doctype html>\n{page}")


class _File(_Gate):
    def get(self, name: str) -> None:
        """The page's script or style sheet."""
        self.set_header("Content-Type", _FILES[name])
        path = resources.files("nbray.dashboard").joinpath(f"static/{name}")
        self.write(path.read_bytes())


class _Trace(_Gate):
    data = True

    def get(self) -> None:
        """The tasks as a Chrome trace, for chrome://tracing and Perfetto."""
        source = self.feed.source
        source.look(d.TASKS)
        names = Names(source.snapshot, source.details)
        asked = [name for name in self.request.arguments if name not in {"key", "pass"}]
        query = query_of({name: self.get_query_argument(name) for name in asked})
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", 'attachment; filename="nbray-timeline.json"')
        self.write(json.dumps({"traceEvents": chrome_trace(bars(source.details, names, query))}))


class _Socket(tornado.websocket.WebSocketHandler):
    """One page's connection."""

    def initialize(self, access: Access, cookie: str, feed: Feed) -> None:
        self._gate = (access, cookie)
        self._feed = feed
        self._page: Page | None = None
        self._proved = False

    def check_origin(self, origin: str) -> bool:
        """The gate has looked at it already, and more strictly."""
        return True

    def prepare(self) -> None:
        access, cookie = self._gate
        headers = self.request.headers
        origin = headers.get("Origin") or headers.get("Sec-Websocket-Origin")
        verdict = access.judge(
            headers.get("Host", ""), origin, self.get_query_argument("key", ""),
            self.get_cookie(cookie, "") or "",
        )  # fmt: skip
        if verdict.status != 200:
            self.set_status(verdict.status)
            self.finish(verdict.why)

    def get_compression_options(self) -> dict[str, Any]:
        return {"compression_level": 1}

    def open(self, *_: str, **__: str) -> None:
        access, _cookie = self._gate
        if access.opens(self.get_query_argument("key", "")):
            self._begin()

    def _begin(self) -> None:
        self._proved = True
        self._page = Page(self._send)
        self._feed.pages.add(self._page)

    def _prove(self, message: str | bytes) -> None:
        """The first message of a page that has no key must hold its pass; proxies keep it."""
        access, _cookie = self._gate
        try:
            shown = msgspec.json.decode(message, type=_Proof).shown
        except msgspec.MsgspecError:
            shown = ""
        host = self.request.headers.get("Host", "")
        if access.judge(host, None, "", "", shown).status == 200:
            self._begin()
        else:
            self.close(NO_PASS, "the page must be opened by its link")

    def _send(self, text: str) -> None:
        try:
            self.write_message(text)
        except tornado.websocket.WebSocketClosedError:
            pass  # `on_close` follows

    def on_message(self, message: str | bytes) -> None:
        if not self._proved:
            self._prove(message)
            return
        if self._page is not None and self._page.heard(message):
            self._feed.tick()

    def on_close(self) -> None:
        if self._page is not None:
            self._feed.pages.discard(self._page)


def application(feed: Feed, access: Access, cookie: str) -> tornado.web.Application:
    """The routes."""

    def visited(_handler: tornado.web.RequestHandler) -> None:
        feed.visits += 1

    given = {"access": access, "cookie": cookie, "feed": feed}
    return tornado.web.Application(
        [
            (r"/", _Page, given),
            (r"/(app\.js|page\.css)", _File, given),
            (r"/trace\.json", _Trace, given),
            (r"/ws", _Socket, given),
            (r".*", _Nowhere, given),
        ],
        websocket_ping_interval=20,
        websocket_max_message_size=MOST_FRAME,
        log_function=visited,
    )


class _Nowhere(_Gate):
    def get(self) -> None:
        """There is nothing here."""
        self.set_status(404)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(render("refused", status=404, why="there is no such page"))


def ticking(feed: Feed) -> tornado.ioloop.PeriodicCallback:
    """The pulse of *feed*, started."""
    pulse = tornado.ioloop.PeriodicCallback(feed.tick, TICK * 1000)
    pulse.start()
    return pulse


def watching(alive: Callable[[], bool], end: Callable[[], None]) -> tornado.ioloop.PeriodicCallback:
    """Calls *end* once *alive* says no; looks once a second."""

    def look() -> None:
        if not alive():
            watch.stop()
            end()

    watch = tornado.ioloop.PeriodicCallback(look, 1000)
    watch.start()
    return watch
