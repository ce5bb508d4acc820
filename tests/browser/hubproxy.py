"""A reverse proxy as a hub has one: everything under /user/x/proxy/PORT/ goes to that port.

Like jupyter-server-proxy it passes the visitor's own Host and Origin on, and
strips the prefix. `python hubproxy.py` prints its port and serves until killed.
"""

from __future__ import annotations

import asyncio
from typing import Any

import tornado.httpclient
import tornado.httpserver
import tornado.ioloop
import tornado.netutil
import tornado.web
import tornado.websocket
from tornado.httputil import HTTPHeaders

PREFIX = "/user/x/proxy"
_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding", "upgrade"}


def _headers(given: HTTPHeaders) -> HTTPHeaders:
    return HTTPHeaders(
        {name: value for name, value in given.items()
         if name.lower() not in _HOP and not name.lower().startswith("sec-websocket")}
    )  # fmt: skip


class Pages(tornado.web.RequestHandler):
    async def get(self, port: str, path: str) -> None:
        query = f"?{self.request.query}" if self.request.query else ""
        answer = await tornado.httpclient.AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{port}/{path}{query}",
            headers=_headers(self.request.headers),
            follow_redirects=False,
            raise_error=False,
        )
        self.set_status(answer.code)
        for name, value in answer.headers.get_all():
            if name.lower() not in _HOP:
                self.add_header(name, value)
        self.finish(answer.body)


class Sockets(tornado.websocket.WebSocketHandler):
    def initialize(self) -> None:
        self.far: asyncio.Future[Any] = asyncio.Future()

    def check_origin(self, origin: str) -> bool:
        return True  # the dashboard's business

    async def open(self, port: str) -> None:
        request = tornado.httpclient.HTTPRequest(
            f"ws://127.0.0.1:{port}/ws", headers=_headers(self.request.headers)
        )
        connected = tornado.websocket.websocket_connect(request, on_message_callback=self._back)
        self.far.set_result(await connected)

    def _back(self, message: str | bytes | None) -> None:
        if message is None:
            self.close()
        else:
            self.write_message(message)

    async def on_message(self, message: str | bytes) -> None:
        await (await self.far).write_message(message)

    def on_close(self) -> None:
        if self.far.done():
            self.far.result().close()


def main() -> None:
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    app = tornado.web.Application(
        [(rf"{PREFIX}/(\d+)/ws", Sockets), (rf"{PREFIX}/(\d+)/(.*)", Pages)]
    )
    server = tornado.httpserver.HTTPServer(app)
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    tornado.ioloop.IOLoop.current().start()


if __name__ == "__main__":
    main()
