"""A dashboard that does not start tells whoever waits for it why, and only him.

Owns the few lines of HTTP that this takes without a server, which may be what is
missing. Does not own who may know (`access`): the reason is for the link's
holder, as everything else is.
"""

from __future__ import annotations

import contextlib
import socket
import time
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from nbray.dashboard.access import Access

PATIENCE = 1.0
"""Seconds in which a request must have arrived."""
MOST = 16 * 1024
"""Bytes of one that are read."""


def tell(listening: socket.socket, access: Access, cookie: str, why: str) -> int:
    """Answer all who wait at *listening*, with *why* if *access* lets them; how many there were."""
    listening.settimeout(0)
    told = 0
    while True:
        try:
            visitor, _ = listening.accept()
        except OSError:
            return told
        told += 1
        with visitor, contextlib.suppress(OSError):
            visitor.settimeout(PATIENCE)
            visitor.sendall(answer(_request(visitor), access, cookie, why))
            visitor.shutdown(socket.SHUT_WR)


def _request(visitor: socket.socket) -> bytes:
    """The head of a request, as far as it comes in time."""
    found = b""
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(TimeoutError):
        while b"\r\n\r\n" not in found and len(found) < MOST and time.monotonic() < deadline:
            part = visitor.recv(MOST)
            if not part:
                break
            found += part
    return found


def answer(request: bytes, access: Access, cookie: str, why: str) -> bytes:
    """What to say to *request*: 503 and *why*, or what the gate says. Pure."""
    first, *lines = request.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    words = first.split(" ")
    fields = {
        name.strip().lower(): value.strip()
        for name, colon, value in (line.partition(":") for line in lines)
        if colon
    }
    try:
        key = parse_qs(urlsplit(words[1]).query).get("key", [""])[0] if len(words) == 3 else ""
        cookies = SimpleCookie(fields.get("cookie", ""))
    except (ValueError, CookieError):
        key, cookies = "", SimpleCookie()
    shown = cookies[cookie].value if cookie in cookies else ""
    verdict = access.judge(fields.get("host", ""), fields.get("origin"), key, shown)
    status = HTTPStatus(503 if verdict.status == 200 else verdict.status)
    body = (why if verdict.status == 200 else verdict.why).encode() + b"\n"
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
