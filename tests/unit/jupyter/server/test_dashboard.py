"""A page's WebSocket on its way through the Jupyter server. (Real servers: tests/e2e.)"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import tornado.websocket
from jupyter_server.base.websocket import WebSocketMixin

from nbray.jupyter.server import dashboard
from nbray.jupyter.server.dashboard import Socket


class Far:
    """The dashboard's end."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Socket.__new__(Socket)
    made.closes = 0

    def close() -> None:
        made.closes += 1

    monkeypatch.setattr(WebSocketMixin, "open", lambda *_: None)
    made.close = close
    made.ws_connection = None
    return made


def test_a_page_opens_beside_a_dashboard_that_is_there(page: Any) -> None:
    page._far = Far()
    page.open()
    assert page.closes == 0


@pytest.mark.parametrize("last", [None, "a picture"])
def test_a_dashboard_that_spoke_or_ended_before_the_page_was_there(page: Any, last: Any) -> None:
    page._far = Far()
    page._back(last)
    page.closes = 0  # there was nothing to close yet
    page.open()
    assert page.closes == 1, "the page must notice, and try again"


def test_whatever_ends_the_page_hangs_up(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    far = Far()

    async def connect(*_: Any, **__: Any) -> Far:
        return far

    async def fails(*_: Any) -> None:
        raise tornado.websocket.WebSocketClosedError

    async def allowed(*_: Any) -> bool:
        return True

    monkeypatch.setattr(dashboard, "place", lambda _: (1, "key"))
    monkeypatch.setattr(tornado.websocket, "websocket_connect", connect)
    monkeypatch.setattr(tornado.websocket.WebSocketHandler, "get", fails)
    monkeypatch.setattr(Socket, "authorizer", SimpleNamespace(is_authorized=allowed))
    page._current_user = "ada"
    with pytest.raises(tornado.websocket.WebSocketClosedError):
        asyncio.run(page.get("a"))
    assert far.closed
