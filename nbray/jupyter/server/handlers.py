"""The sidebar's requests, under `api/nbray/` of the Jupyter server.

Owns their addresses, who may make them, and the words of their answers. Does
not own what they do (`changes`, `watching`), nor the dashboard (`dashboard`).
Rules: the addresses are nobody else's (`nbray/` is the dashboard's, where
jupyter-server-proxy is installed); each asks for Jupyter's own
authentication and authorization first; only `join` answers with a secret, and
only where it is what the user asked for.
"""

from __future__ import annotations

import contextlib
import math
import os
from typing import Any

import msgspec
import psutil
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from nbray.clusters.launcher import Refused
from nbray.clusters.manager import ADDED_CPUS, ClusterManager
from nbray.dashboard.links import SERVED, serves
from nbray.jupyter.server import dashboard, environment
from nbray.jupyter.server.changes import Changes
from nbray.jupyter.server.watching import ClusterWatch
from nbray.version import __version__

RESOURCE = "nbray"
API = "api/nbray"
"""Below the server's base URL."""


class Office:
    """What the handlers of one server share."""

    def __init__(self, kernels: Any, sessions: Any) -> None:
        self.kernels = kernels
        self._sessions = sessions
        manager = ClusterManager()
        self.changes = Changes(manager)
        self.watch = ClusterWatch(self.origin, manager.look)

    def environment(self, kernel: str) -> environment.Environment:
        """That of kernel *kernel*, the server's own for ''."""
        return environment.of_kernel(self.kernels, kernel) if kernel else environment.own()

    async def origin(self, pid: int) -> str:
        """What a user calls the process with which a cluster ends."""
        pids: dict[int, str] = {}
        for key in self.kernels.list_kernel_ids():
            with contextlib.suppress(KeyError):  # it has just ended
                pids[environment.kernel_pid(self.kernels.get_kernel(key))] = key
        notebooks: dict[int, str] = {}
        if pid in pids:
            for session in await ensure_async(self._sessions.list_sessions()):
                if (session.get("kernel") or {}).get("id") == pids[pid]:
                    notebooks[pid] = str(session.get("name") or session.get("path") or "")
        line: list[str] = []
        with contextlib.suppress(psutil.Error):
            line = psutil.Process(pid).cmdline()
        return environment.origin_of(pid, line, notebooks)


class Handler(APIHandler):
    """One request; a `Refused` becomes a 409 with its sentence."""

    auth_resource = RESOURCE
    office: Office

    def initialize(self, office: Office) -> None:
        """Tornado's hook."""
        self.office = office

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The sentence as `message`, as Jupyter's own requests do."""
        _, error, _ = kwargs.get("exc_info", (None, None, None))
        if not isinstance(error, Refused):
            super().write_error(status_code, **kwargs)
            return
        self.set_status(409)
        self.set_header("Content-Type", "application/json")
        self.finish({"message": str(error)})

    def log_exception(self, *args: Any) -> None:
        """A refusal is an answer, not a defect of the server."""
        if not isinstance(args[1], Refused):
            super().log_exception(*args)

    def body(self, form: type[Any]) -> Any:
        """The request's JSON as a *form*."""
        try:
            return msgspec.json.decode(self.request.body or b"{}", type=form)
        except msgspec.DecodeError as error:
            raise web.HTTPError(400, f"nbray cannot read this request: {error}") from None


class Start(msgspec.Struct, frozen=True):
    """What `POST clusters` reads."""

    kernel: str = ""
    cpus: float | None = None


class Grow(msgspec.Struct, frozen=True):
    """What `POST clusters/ID/nodes` reads."""

    cpus: float = ADDED_CPUS


def _checked(cpus: float | None) -> float | None:
    if cpus is not None and not (math.isfinite(cpus) and 0 <= cpus <= 10_000):
        raise web.HTTPError(400, f"cpus is a number from 0 up, not {cpus}")
    return cpus


class AllClusters(Handler):
    """List the clusters; start one."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The list, the note that goes with an empty one, and this nbray's version."""
        listed = await self.office.watch.listed()
        self.finish({**msgspec.to_builtins(listed), "version": __version__})

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Start a cluster in a kernel's own environment."""
        asked = self.body(Start)
        where = self.office.environment(asked.kernel)
        address = await self.office.changes.start(where.interpreter, _checked(asked.cpus))
        self.office.watch.hurry()
        self.set_status(201)
        self.finish({"address": address, "python": where.interpreter.python, "name": where.name})


class OneCluster(Handler):
    """End a cluster."""

    @web.authenticated
    @authorized
    async def delete(self, key: str) -> None:
        """End what runs of it on this machine."""
        await self.office.changes.stop(key)
        self.office.watch.hurry()
        self.set_status(204)
        self.finish()


class Nodes(Handler):
    """Add a node on this machine; take the youngest away."""

    @web.authenticated
    @authorized
    async def post(self, key: str) -> None:
        """+"""
        asked = self.body(Grow)
        env = environment.own().interpreter.env
        await self.office.changes.add_node(key, env, _checked(asked.cpus) or 0.0)
        self.office.watch.hurry()
        self.set_status(201)
        self.finish({})

    @web.authenticated
    @authorized
    async def delete(self, key: str) -> None:
        """-"""
        await self.office.changes.remove_node(key)
        self.office.watch.hurry()
        self.set_status(204)
        self.finish()


class Join(Handler):
    """The line by which other machines join: the one answer that holds the secret."""

    @web.authenticated
    @authorized
    async def post(self, key: str) -> None:
        """Not a GET: the line opens the cluster's port, and must not be in a cache."""
        self.set_header("Cache-Control", "no-store")
        self.finish({"line": await self.office.watch.join_line(key)})


class Events(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """The relay: a page that looks is told of every change.

    The page says 'look' when it becomes visible and 'rest' when it is hidden.
    """

    auth_resource = RESOURCE
    office: Office

    def initialize(self, office: Office) -> None:
        """Tornado's hook."""
        self.office = office

    def set_default_headers(self) -> None:
        """Those of pages make no sense for a socket."""

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Let in whom Jupyter knows and allows to read."""
        if not self.current_user:
            raise web.HTTPError(403)
        allowed = await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, "read", RESOURCE)
        )
        if not allowed:
            raise web.HTTPError(403)
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin with all that is known."""
        super().open(*args, **kwargs)
        self.office.watch.join(self._tell)

    def on_message(self, message: str | bytes) -> None:
        """The page came into sight, or went out of it."""
        if message == "look":
            self.office.watch.join(self._tell)
        elif message == "rest":
            self.office.watch.leave(self._tell)

    def on_close(self) -> None:
        """Nobody there any more."""
        self.office.watch.leave(self._tell)
        super().on_close()

    def _tell(self, text: str) -> None:
        with contextlib.suppress(WebSocketClosedError):
            self.write_message(text)


def add(server: Any) -> None:
    """Add the requests to a running Jupyter server."""
    office = {"office": Office(server.kernel_manager, server.session_manager)}
    key = dashboard.KEY
    own = (
        (r"clusters", AllClusters),
        (rf"clusters/{key}", OneCluster),
        (rf"clusters/{key}/nodes", Nodes),
        (rf"clusters/{key}/join", Join),
        (r"events", Events),
    )
    base = server.web_app.settings["base_url"]
    routes: list[tuple[Any, ...]] = [
        (url_path_join(base, API, path), handler, office) for path, handler in own
    ]
    routes += [(url_path_join(base, path), handler) for path, handler in dashboard.routes()]
    server.web_app.add_handlers(".*$", routes)
    # Its kernels and terminals know by this which link leads to the dashboard from this page.
    os.environ[SERVED] = serves(os.getpid(), base)
