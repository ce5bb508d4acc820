"""The link to the dashboard as it is right where one works.

Owns the wording of addresses. Does not own ports or keys. Pure: the
environment is an argument (but for what a `Link` shows of itself). Rules: where
the page's own Jupyter server serves the dashboard (`nbray.jupyter.server.dashboard`),
a cell's link goes there: it works from wherever the page came from, and holds no
key. On a page for visitors there is no link at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from typing import Self
from urllib.parse import urlsplit

SERVED = "NBRAY_JUPYTER_SERVER"
"""The variable in which a Jupyter server with nbray's part tells its kernels and terminals so:
its process and its base URL, as in '4711:/user/ada/'."""
PATH = "nbray-dashboard"
"""Under its base URL, the dashboards of the user's clusters."""
UNSURE = (
    "This Jupyter server does not serve nbray itself. If the link is not found, install nbray "
    "(or jupyter-server-proxy) in the environment of the Jupyter server, and restart the server."
)


SHOWN_TO_ITS_AUTHOR = "The dashboard is there for the notebook's author: this page is for visitors."


VISITED = ("VOILA_REQUEST_URL", "VOILA_BASE_URL", "VOILA_PREHEAT")
"""Variables that voila gives to its kernels."""


class Link(str):
    """The dashboard's address; a cell shows it as a link.

    Args:
        url: with the key that opens it, where it needs one.
        path: the same on the page's own Jupyter server, which asks for no key ('' if there is
            none).
        note: what to do if it is not found.
    """

    __slots__ = ("note", "path")

    path: str
    note: str

    def __new__(cls, url: str, path: str = "", note: str = "") -> Self:
        made = str.__new__(cls, url)
        made.path = path
        made.note = note
        return made

    def __getnewargs__(self) -> tuple[str, str, str]:  # type: ignore[override]  # str's has one
        return self.url, self.path, self.note

    @property
    def url(self) -> str:
        """The address as plain text."""
        return str.__str__(self)

    def __repr__(self) -> str:
        if visited(os.environ):
            return SHOWN_TO_ITS_AUTHOR
        if self.path:
            return f"The dashboard, on this page's own server: {self.path}"
        note = f"\n{self.note}" if self.note else ""
        good = "opens it for ten minutes" if "." in self.url.partition("key=")[2] else (
            "holds its key"
        )
        return f"The dashboard (the link {good}): {self.url}{note}"

    def _repr_html_(self) -> str:
        if visited(os.environ):
            return escape(SHOWN_TO_ITS_AUTHOR)
        url = escape(self.path or self.url, quote=True)
        shown = escape(self.path or self.url.partition("?")[0])
        note = f". {escape(self.note)}" if self.note else ""
        return (
            f'<a href="{url}" target="_blank" rel="noreferrer noopener">nbray dashboard</a> '
            f'<span style="color:var(--jp-ui-font-color2,#6a737d)">at {shown}{note}</span>'
        )


def visited(environ: Mapping[str, str]) -> bool:
    """Whether what a kernel in *environ* shows is a page for visitors: voila's."""
    return any(name in environ for name in VISITED) or environ.get(
        "SERVER_SOFTWARE", ""
    ).startswith("voila/")


def saved(environ: Mapping[str, str]) -> bool:
    """Whether what a program in *environ* prints comes under a cell, and is saved with it.

    So it is for what a kernel starts (`!nbray start --head`), which inherits its variables.
    """
    return "JPY_PARENT_PID" in environ


def prefix(environ: Mapping[str, str]) -> str:
    """The path under which a hub serves this user ('' where there is no hub)."""
    given = environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    return given if given.startswith("/") and given != "/" else ""


def serves(pid: int, base: str) -> str:
    """The value of `SERVED` for a Jupyter server."""
    return f"{pid}:{base}"


def served(environ: Mapping[str, str]) -> str:
    """The base URL of the Jupyter server that serves who works in *environ* ('' if none does).

    A kernel knows by `JPY_PARENT_PID` which server has started it: what it has
    inherited from another one does not count.
    """
    pid, _, base = environ.get(SERVED, "").partition(":")
    return base if base.startswith("/") and environ.get("JPY_PARENT_PID", pid) == pid else ""


def link(port: int, key: str, environ: Mapping[str, str], cluster: str = "") -> Link:
    """The link for who works in *environ*: local, or through the hub.

    A hub that does not say under which name people reach it gets a path; in a
    notebook that is a link all the same. *cluster* is the id by which a Jupyter
    server knows the cluster.
    """
    base = prefix(environ)
    own = served(environ) if cluster else ""
    path = f"{own.rstrip('/')}/{PATH}/{cluster}/" if own else ""
    if not base:
        return Link(f"http://127.0.0.1:{port}/?key={key}", path)
    public = environ.get("JUPYTERHUB_PUBLIC_URL") or environ.get("JUPYTERHUB_PUBLIC_HUB_URL") or ""
    parts = urlsplit(public)
    where = f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""
    if path:
        return Link(f"{where}{path}", path)
    return Link(f"{where}{base.rstrip('/')}/proxy/{port}/?key={key}", note=UNSURE)


def hosts(environ: Mapping[str, str]) -> list[str]:
    """Names beside this machine's own under which the dashboard may be reached."""
    return [name for name in environ.get("NBRAY_DASHBOARD_HOSTS", "").split(",") if name.strip()]
