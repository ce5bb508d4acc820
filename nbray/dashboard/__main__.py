"""The dashboard's process: `python -m nbray.dashboard`.

Owns the wiring of source, feed and server, and the process's end. Two ways in:
`launch` writes an `Order` to its standard input and reads where it serves; and
`--socket PATH` serves whichever cluster is the youngest on a Unix socket, for
the proxy of a Jupyter server, which has let its user in already.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbray.dashboard import record as records
from nbray.dashboard.launch import Answer, Order
from nbray.dashboard.links import PORT, hosts, prefix

PORTS = 100
"""How many ports are tried from the usual one on, before any free one is taken."""
LAST_WORDS = 3.0
"""Seconds that pages have to take the last message and hang up."""
GONE = 0.05
"""Seconds between two looks whether they have."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the cluster ends, or this process is told to."""
    parser = argparse.ArgumentParser(prog="python -m nbray.dashboard", add_help=False)
    parser.add_argument("--socket", default="")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    if options.socket:
        _serve_socket(options.socket)
        return
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
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

    for wanted in [port] if port else [*range(PORT, PORT + PORTS), 0]:
        try:
            return bind_sockets(wanted, "127.0.0.1")
        except OSError as error:
            if port:
                raise OSError(
                    error.errno, f"port {port} cannot be used: {error.strerror}"
                ) from None
    raise OSError("no port is free")


def _serve(order: Order) -> None:
    folder = Path(order.directory)
    _log_to(folder / records.LOG)
    sockets = bind(order.port)
    port: int = sockets[0].getsockname()[1]
    key = secrets.token_urlsafe(24)

    from nbray.dashboard.access import Access
    from nbray.engine import load

    native = load("native")

    def find() -> Any:
        return next((one for one in native.records() if one.directory == str(folder)), None)

    access = Access(key, hosts(os.environ), hub=bool(prefix(os.environ)))
    lock = records.write(folder, records.Record(os.getpid(), port, key))

    def ready() -> None:
        _say(Answer(port, key))
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)

    try:
        _run(sockets, access, f"nbray-{port}", find, ready, ends=True)
    finally:
        records.remove(folder)
        os.close(lock)


def _serve_socket(path: str) -> None:
    from tornado.netutil import bind_unix_socket

    from nbray.dashboard.access import Access
    from nbray.engine import load

    native = load("native")

    def find() -> Any:
        return next(iter(native.records()), None)

    sockets = [bind_unix_socket(path, mode=0o600)]
    parent = os.getppid()
    try:
        _run(sockets, Access(""), "nbray", find, lambda: None, ends=False, parent=parent)
    finally:
        with contextlib.suppress(OSError):
            Path(path).unlink()


def _run(
    sockets: list[Any],
    access: Any,
    cookie: str,
    find: Callable[[], Any],
    ready: Callable[[], None],
    *,
    ends: bool,
    parent: int = 0,
) -> None:
    """Serve; *ends*: until the cluster does, else until process *parent* does."""
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop

    from nbray.dashboard.feed import Feed
    from nbray.dashboard.server import application, ticking, watching
    from nbray.dashboard.source import Source
    from nbray.engine import load

    source = Source(load("native"), find)
    feed = Feed(source)
    loop = IOLoop.current()
    server = HTTPServer(application(feed, access, cookie), max_body_size=1 << 16)
    server.add_sockets(sockets)
    ticking(feed)

    def end() -> None:
        feed.end()
        leave(loop.time() + LAST_WORDS)

    def leave(latest: float) -> None:
        # Not before: closing a connection may lose what its other end has not read yet.
        if feed.pages and loop.time() < latest:
            loop.call_later(GONE, leave, latest)
        else:
            loop.stop()

    def alive() -> bool:
        return source.alive() if ends else os.getppid() == parent

    watching(alive, end)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.add_callback_from_signal(end))
    ready()
    gc.collect()
    gc.freeze()
    loop.start()
    source.detach()


if __name__ == "__main__":
    main()
