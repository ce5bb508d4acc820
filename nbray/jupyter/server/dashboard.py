"""The dashboards of the user's clusters, through the Jupyter server: `nbray-dashboard/ID/`.

Owns the requests, and their way to the dashboard's own process and back, its
WebSocket included. Does not own that process (`nbray.dashboard`) nor what it
shows. Rules: each request asks for Jupyter's own authentication and
authorization first; the key stays between the two processes on this machine.
So the link works from wherever the page came from, on a hub and behind any
proxy, and whoever is given it without an account gets nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import tornado.httpclient
import tornado.websocket
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web

from nbray.clusters.launcher import Refused
from nbray.clusters.manager import ClusterManager
from nbray.dashboard import launch
from nbray.dashboard.links import PATH
from nbray.exceptions import RayError
from nbray.view.render import render

RESOURCE = "nbray"
SECONDS = 60.0
"""How long one answer may take: a dashboard at rest is woken, a trace of many tasks is written."""
MOST = 256 << 20
"""Bytes of one answer."""
_PASSED = ("Content-Type", "Content-Disposition", "Content-Security-Policy", "Cache-Control")
"""What is kept of the dashboard's headers."""
KEY = r"([\w.:\[\]-]+)"
"""A cluster's id in an address."""


class Missing(Exception):
    """There is no dashboard there; says why."""


def place(key: str) -> tuple[int, str]:
    """(port, key) of the dashboard of cluster *key*, which serves when this returns.

    Raises:
        Missing: there is none, or it does not start; says why.
    """
    try:
        return launch.place(ClusterManager().first(key))
    except (Refused, RayError, OSError) as error:
        raise Missing(str(error)) from None


class _Handler(JupyterHandler):
    auth_resource = RESOURCE

    def sorry(self, status: int, why: str) -> None:
        """A page that says why there is nothing to see."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(render("refused", status=status, why=why))


class Youngest(_Handler):
    """`nbray-dashboard/`: the dashboard of the cluster that was started last."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Lead to it."""
        found, note = await asyncio.to_thread(ClusterManager().look)
        if found:
            self.redirect(f"{self.base_url}{PATH}/{found[0].id}/")
        else:
            self.sorry(404, note)


class Slash(_Handler):
    """The address without its last slash, under which relative addresses would go astray."""

    @web.authenticated
    @authorized
    async def get(self, key: str) -> None:
        """Add it."""
        self.redirect(f"{self.base_url}{PATH}/{key}/")


class Page(_Handler):
    """The page, its files, and the trace to download."""

    @web.authenticated
    @authorized
    async def get(self, key: str, path: str) -> None:
        """What the dashboard answers to the same request."""
        try:
            port, secret = await asyncio.to_thread(place, key)
        except Missing as missing:
            self.sorry(404, str(missing))
            return
        words = [
            (name, text)
            for name in self.request.arguments
            if name not in {"key", "token"}  # Jupyter's token is nobody else's business
            for text in self.get_query_arguments(name)
        ]
        asked = tornado.httpclient.HTTPRequest(
            f"http://127.0.0.1:{port}/{path}?{urlencode([*words, ('key', secret)])}",
            request_timeout=SECONDS,
            follow_redirects=False,
        )
        client = tornado.httpclient.AsyncHTTPClient(force_instance=True, max_body_size=MOST)
        try:
            answer = await client.fetch(asked, raise_error=False)
        except (tornado.httpclient.HTTPError, OSError) as error:
            self.sorry(502, f"the dashboard does not answer: {error}")
            return
        finally:
            client.close()
        if answer.code == 599:
            self.sorry(502, f"the dashboard does not answer: {answer.error}")
            return
        self.set_status(answer.code)
        for name in _PASSED:
            if name in answer.headers:
                self.set_header(name, answer.headers[name])
        self.finish(answer.body)


class Socket(WebSocketMixin, tornado.websocket.WebSocketHandler, JupyterHandler):
    """A page's WebSocket, passed on both ways."""

    auth_resource = RESOURCE
    _far: tornado.websocket.WebSocketClientConnection | None = None

    def set_default_headers(self) -> None:
        """Those of pages make no sense for a socket."""

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Let in whom Jupyter knows and allows to read, once the dashboard has."""
        if not self.current_user:
            raise web.HTTPError(403)
        allowed = await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, "read", RESOURCE)
        )
        if not allowed:
            raise web.HTTPError(403)
        try:
            port, secret = await asyncio.to_thread(place, str(args[0]))
            self._far = await tornado.websocket.websocket_connect(
                f"ws://127.0.0.1:{port}/ws?{urlencode({'key': secret})}",
                on_message_callback=self._back,
                max_message_size=MOST,
            )
        except (Missing, tornado.httpclient.HTTPError, OSError) as error:
            raise web.HTTPError(404, str(error)) from None
        try:
            await super().get(*args, **kwargs)  # until its end; or refused: another page's
        finally:
            self._hang_up()

    def open(self, *args: str, **kwargs: str) -> None:
        """The page is there; where the dashboard is not any more, it tries again."""
        super().open(*args, **kwargs)
        if self._far is None:
            self.close()

    def _back(self, message: str | bytes | None) -> None:
        if message is None:
            self._far = None
            self.close()
            return
        try:
            self.write_message(message)
        except tornado.websocket.WebSocketClosedError:
            self._hang_up()

    async def on_message(self, message: str | bytes) -> None:
        """From the page to the dashboard."""
        if self._far is not None:
            try:
                await self._far.write_message(message)
            except tornado.websocket.WebSocketClosedError:
                self.close()

    def on_close(self) -> None:
        """The page has gone."""
        self._hang_up()
        super().on_close()

    def _hang_up(self) -> None:
        far, self._far = self._far, None
        if far is not None:
            far.close()


def routes() -> list[tuple[str, type[web.RequestHandler]]]:
    """Addresses below the server's base URL, and who answers there."""
    return [
        (rf"{PATH}/?", Youngest),
        (rf"{PATH}/{KEY}", Slash),
        (rf"{PATH}/{KEY}/ws", Socket),
        (rf"{PATH}/{KEY}/([\w.]*)", Page),
    ]
