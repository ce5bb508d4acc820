"""The link to the dashboard as it is right where one works.

Owns the wording of addresses. Does not own ports or keys. Pure: the
environment is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import urlsplit


class Link(str):
    """The dashboard's address with its key; a cell shows it as a link."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """The address as plain text."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return f"The dashboard (the link holds its key): {self.url}"

    def _repr_html_(self) -> str:
        url = escape(self.url, quote=True)
        shown = escape(self.url.partition("?")[0])
        return (
            f'<a href="{url}" target="_blank" rel="noreferrer noopener">nbray dashboard</a> '
            f'<span style="color:var(--jp-ui-font-color2,#6a737d)">at {shown}</span>'
        )


def prefix(environ: Mapping[str, str]) -> str:
    """The path under which a hub serves this user ('' where there is no hub)."""
    given = environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    return given if given.startswith("/") and given != "/" else ""


def link(port: int, key: str, environ: Mapping[str, str]) -> Link:
    """The link for who works in *environ*: local, or through the hub's proxy.

    A hub that does not say under which name people reach it gets a path; in a
    notebook that is a link all the same.
    """
    base = prefix(environ)
    if not base:
        return Link(f"http://127.0.0.1:{port}/?key={key}")
    public = environ.get("JUPYTERHUB_PUBLIC_URL") or environ.get("JUPYTERHUB_PUBLIC_HUB_URL") or ""
    parts = urlsplit(public)
    where = f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""
    return Link(f"{where}{base.rstrip('/')}/proxy/{port}/?key={key}")


def hosts(environ: Mapping[str, str]) -> list[str]:
    """Names beside this machine's own under which the dashboard may be reached."""
    return [name for name in environ.get("NBRAY_DASHBOARD_HOSTS", "").split(",") if name.strip()]
