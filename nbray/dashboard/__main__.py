"""The dashboard's process: `python -m nbray.dashboard`.

Owns the wiring of source, feed and server, and the process's end. Three ways in,
the first two with an `Order` on standard input: the cluster's root hands a
listening socket down when somebody has come to it (`runtime/shell/root/dashboard_port.py`);
`launch` names a port and reads where it serves; and `--socket PATH` serves
whichever cluster is the youngest on a Unix socket, for the proxy of a Jupyter
server, which has let its user in already.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import secrets
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbray.clusters.local import Local
from nbray.clusters.record import Record
from nbray.config import DASHBOARD_PORT, DASHBOARD_PORTS
from nbray.dashboard import record as records
from nbray.dashboard.access import Access
from nbray.dashboard.launch import Answer, Order
from nbray.dashboard.links import hosts, prefix

LAST_WORDS = 2.0
"""Seconds that pages have to take the last message and hang up."""
GONE = 0.05
"""Seconds between two looks whether they have."""
REST = 600.0
"""Seconds without a page or a request after which a process ends that can be woken again."""
LOOKS = 10
"""Looks in that time."""
REQUEST_SECONDS = 5.0
"""Seconds that a connection has for its next request; one that says nothing is hung up on."""
STOPPED = "the dashboard was stopped"
STOPPED_LIGHTLY = f"{STOPPED}: reload this page to start it again"
RESTS = "reload this page to go on"
"""Who has come in the moment in which it went to rest is told."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the cluster ends, or this process is told to."""
    parser = argparse.ArgumentParser(prog="python -m nbray.dashboard", add_help=False)
    parser.add_argument("--socket", default="")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    if options.socket:
        _serve_socket(options.socket)
        return
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    if order.listening >= 0:
        _serve_handed_down(order)
        return
    if os.fork():
        os._exit(0)  # whoever started this need not reap what stays
    try:
        _serve(order)
    except Exception as error:  # noqa: BLE001 - the edge of the process: the launcher is told
        _say(Answer(why=f"the dashboard does not start: {error}"))
        raise SystemExit(1) from None


def _say(answer: Answer) -> None:
    """Answer the launcher, once."""
    with contextlib.suppress(OSError, ValueError):
        os.write(1, msgspec.json.encode(answer) + b"\n")


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.close(log)


def bind(port: int) -> list[Any]:
    """Sockets on 127.0.0.1: on *port*, or (0) on the usual one or the next that is free.

    Raises:
        OSError: *port* is taken; says so.
    """
    from tornado.netutil import bind_sockets

    usual = range(DASHBOARD_PORT, DASHBOARD_PORT + DASHBOARD_PORTS)
    for wanted in [port] if port else [*usual, 0]:
        try:
            return bind_sockets(wanted, "127.0.0.1")
        except OSError as error:
            if port:
                raise OSError(
                    error.errno, f"port {port} cannot be used: {error.strerror}"
                ) from None
    raise OSError("no port is free")


def _serve_handed_down(order: Order) -> None:
    """Serve at the socket that was handed down; where that fails, whoever waits is told why."""
    os.chdir("/")
    listening = socket.socket(fileno=order.listening)
    listening.set_inheritable(False)
    access = access_with(order.key)
    cookie = cookie_name(order.port)
    try:
        _serve_cluster(Path(order.directory), [listening], access, order, lambda: None)
    except Exception as error:  # noqa: BLE001 - the edge of the process: visitors are told
        traceback.print_exc()  # the log
        from nbray.dashboard.failed_start import tell

        tell(listening, access, cookie, f"the dashboard does not start: {error}")
        raise SystemExit(1) from None


def access_with(key: str) -> Access:
    """The gate, as this process's environment wants it."""
    return Access(key, hosts(os.environ), hub=bool(prefix(os.environ)))


def cookie_name(port: int) -> str:
    """Cookies know no ports: each dashboard's has a name of its own."""
    return f"nbray-{port}"


def _serve(order: Order) -> None:
    folder = Path(order.directory)
    _log_to(folder / records.LOG)
    sockets = bind(order.port)
    port: int = sockets[0].getsockname()[1]
    key = order.key or secrets.token_urlsafe(24)

    def ready() -> None:
        _say(Answer(port, key))
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)

    order = Order(order.directory, port, key)
    _serve_cluster(folder, sockets, access_with(key), order, ready)


def _serve_cluster(
    folder: Path, sockets: list[Any], access: Access, order: Order, ready: Callable[[], None]
) -> None:
    """Serve the cluster of *folder* on record, until it ends."""
    def find() -> Record | None:
        return Local().of_directory(str(folder))

    lock = records.write(folder, records.Serving(os.getpid(), order.port, order.key))
    light = order.listening >= 0
    try:
        _run(sockets, access, cookie_name(order.port), find, ready, ends=True, light=light)
    finally:
        records.remove(folder)
        os.close(lock)


def _serve_socket(path: str) -> None:
    from tornado.netutil import bind_unix_socket

    def find() -> Record | None:
        return next(iter(Local().records()), None)

    sockets = [bind_unix_socket(path, mode=0o600)]
    parent = os.getppid()
    try:
        _run(sockets, Access(""), "nbray", find, lambda: None, ends=False, parent=parent)
    finally:
        with contextlib.suppress(OSError):
            Path(path).unlink()


def _run(
    sockets: list[Any],
    access: Access,
    cookie: str,
    find: Callable[[], Record | None],
    ready: Callable[[], None],
    *,
    ends: bool,
    parent: int = 0,
    light: bool = False,
) -> None:
    """Serve; *ends*: until the cluster does, else until process *parent* does.

    *light*: whoever comes next wakes another process, so this one may rest.
    """
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop

    from nbray.dashboard.feed import Feed
    from nbray.dashboard.server import application, ticking, watching
    from nbray.dashboard.source import Source

    source = Source(Local(), find)
    feed = Feed(source)
    loop = IOLoop.current()
    server = HTTPServer(
        application(feed, access, cookie),
        max_body_size=1 << 16,
        idle_connection_timeout=REQUEST_SECONDS,
    )
    server.add_sockets(sockets)
    ticking(feed)

    def end(words: str = "") -> None:
        server.stop()  # who comes now finds nobody, or wakes another process
        feed.end(words)
        leave(loop.time() + LAST_WORDS)

    def leave(latest: float) -> None:
        # Not before: closing a connection may lose what its other end has not read yet.
        if feed.pages and loop.time() < latest:
            loop.call_later(GONE, leave, latest)
        else:
            loop.stop()

    def alive() -> bool:
        return source.alive() if ends else os.getppid() == parent

    def rest(visits: int = 0, looks: int = 0) -> None:
        looks = 0 if feed.pages or feed.visits != visits else looks + 1
        if looks < LOOKS:
            loop.call_later(REST / LOOKS, rest, feed.visits, looks)
        else:
            server.stop()
            loop.call_later(1.0, end, RESTS)  # whoever had been let in is served until then

    watching(alive, end)
    if light:
        rest()
    stopped = STOPPED_LIGHTLY if light else STOPPED
    for number, words in (
        (signal.SIGHUP, ""), (signal.SIGTERM, stopped), (signal.SIGINT, stopped),
    ):  # fmt: skip
        signal.signal(number, lambda *_, words=words: loop.add_callback_from_signal(end, words))
    ready()
    gc.collect()
    gc.freeze()
    loop.start()
    source.detach()


if __name__ == "__main__":
    main()
