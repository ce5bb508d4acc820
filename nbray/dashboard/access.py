"""Who may see the dashboard: the link's key once, a cookie and a pass afterwards.

Owns the decision over Host, Origin, key, cookie and pass. Does not own the transport
(`server`). Pure; the clock is an argument.

Rules. A foreign Host is refused whatever else a request carries: that is how a
page elsewhere would reach a server on this machine through a name of its own.
A request that says where it comes from must come from the page itself. The
cookie is good for one host only, and says nothing of the key; it opens the empty page
and no more, for browsers send it to every port of that host, where somebody else's
server may listen. What the page asks for needs the pass as well, which it keeps where
only pages of the same port can read. A link that is saved somewhere holds no key but a
ticket, which opens nothing after some minutes. On a hub the
host's name is the hub's, which nobody tells us: any is welcome with the key or
a cookie made for it, for there the port is reached through the hub alone.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import time
from collections.abc import Callable, Iterable
from typing import Literal
from urllib.parse import urlsplit

import msgspec

TICKET_SECONDS = 600
"""How long the link opens the dashboard that a cell shows, and a saved notebook holds."""
_DIGITS = re.compile(r"[0-9]{1,12}")
"""A ticket's time: what `int` takes, however strange the request."""
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Verdict(msgspec.Struct, frozen=True):
    """What to answer: 200, or why not."""

    status: Literal[200, 401, 403]
    why: str = ""
    cookie: str = ""
    """To be set in the answer."""


class Access:
    """The gate of one dashboard. An empty *key* opens it to whoever reaches its socket."""

    def __init__(
        self, key: str, hosts: Iterable[str] = (), hub: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._key = key
        self._clock = clock
        self._hosts = {host.strip().lower() for host in hosts if host.strip()}
        self._hub = hub

    def mark(self, host: str) -> str:
        """The cookie's value for *host*."""
        return _signed(self._key, host_name(host))

    def passing(self, host: str) -> str:
        """The pass of pages that have come from *host* with the key."""
        return _signed(self._key, f"pass {host_name(host)}") if self._key else ""

    def opens(self, key: str) -> bool:
        """Whether *key* is the key, or a ticket that is still good."""
        if hmac.compare_digest(key.encode(), self._key.encode()):
            return True
        until, dot, _ = key.partition(".")
        if not dot or not _DIGITS.fullmatch(until) or int(until) < self._clock():
            return False
        return hmac.compare_digest(key.encode(), _ticket(self._key, until).encode())

    def judge(
        self, host: str, origin: str | None, key: str, cookie: str, shown: str | None = None
    ) -> Verdict:
        """May a request with these headers pass?

        Args:
            host: the Host header.
            origin: the Origin header, None where there is none.
            key: what the address carries, '' if nothing.
            cookie: likewise.
            shown: the pass, where one is needed (None: it is not, a cookie is enough).
        """
        name = host_name(host)
        if not name or not (self._hub or not self._key or self._known(name)):
            return Verdict(
                403,
                f"this dashboard does not answer to the name {name or host!r}: "
                "set NBRAY_DASHBOARD_HOSTS to the names that it may have",
            )
        if origin is not None and not (_same(origin, host) or self._named(origin)):
            return Verdict(403, "the request comes from another page")
        if not self._key:
            return Verdict(200)
        if key and self.opens(key):
            return Verdict(200, cookie=self.mark(host))
        if shown is not None:
            if shown and hmac.compare_digest(shown.encode(), self.passing(host).encode()):
                return Verdict(200)
            return Verdict(401, "the page must have been opened by its link")
        if cookie and hmac.compare_digest(cookie.encode(), self.mark(host).encode()):
            return Verdict(200)
        if "." in key:
            return Verdict(
                401,
                f"this link has opened the dashboard for {TICKET_SECONDS // 60} minutes only: "
                "%nbray dashboard in a cell, or nbray dashboard in a terminal, shows a new one",
            )
        return Verdict(401, "open the link that nbray printed: it carries the key")

    def _named(self, origin: str) -> bool:
        """Whether an Origin is one of the user's names: some proxies keep it, but not the Host."""
        try:
            return (urlsplit(origin).hostname or "") in self._hosts
        except ValueError:
            return False

    def _known(self, name: str) -> bool:
        if name == "localhost" or name.endswith(".localhost") or name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def ticket(key: str, now: float) -> str:
    """What opens the dashboard instead of *key* for `TICKET_SECONDS` from *now* (Unix time)."""
    return _ticket(key, str(int(now) + TICKET_SECONDS))


def _ticket(key: str, until: str) -> str:
    return f"{until}.{_signed(key, f'until {until}')}"


def _signed(key: str, what: str) -> str:
    return hmac.new(key.encode(), what.encode(), hashlib.sha256).hexdigest()


def host_name(host: str) -> str:
    """The name in a Host header, without its port; '' if it makes no sense."""
    try:
        return (urlsplit(f"//{host.strip()}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def _same(origin: str, host: str) -> bool:
    """Whether an Origin is the page that *host* serves; the scheme may be a proxy's."""
    try:
        where, here = urlsplit(origin), urlsplit(f"//{host}")
        default = _DEFAULT_PORTS.get(where.scheme, 0)
        mine = here.port if here.port is not None else default
        theirs = where.port if where.port is not None else default
    except ValueError:
        return False
    return bool(default) and where.hostname == here.hostname and mine == theirs
