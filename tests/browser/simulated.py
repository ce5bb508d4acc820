"""A dashboard over a cluster that is not there: 200 nodes, 10,000 tasks, all of it moving.

The server, the feed and the page are the real ones. `python simulated.py`
prints the link and serves until killed.
"""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
import tornado.ioloop
import tornado.netutil
from details import NOW, many
from scenes import cluster
from tornado.httpserver import HTTPServer

from nbray import details as d
from nbray.dashboard.access import Access
from nbray.dashboard.feed import Feed
from nbray.dashboard.server import application, ticking
from nbray.dashboard.source import Source
from nbray.engines.parts import PlainInsight
from nbray.engines.scripted import ScriptedEngine

NODES, TASKS = 200, 10_000


class Moving(PlainInsight):
    """Every look finds other figures, and a hundred tasks in another state."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = random.Random(7)
        self.looks = itertools.count()
        self.nodes = cluster(NODES)
        self.given = many(TASKS, NODES)

    def snapshot(self) -> Any:
        replace = msgspec.structs.replace
        nodes = tuple(
            replace(node, figures=replace(node.figures, cpu_percent=self.dice.uniform(0, 100)))
            for node in self.nodes.nodes
        )
        return replace(self.nodes, nodes=nodes)

    def details(self, wanted: int) -> d.Details:
        tasks = list(self.given.tasks)
        for _ in range(100):
            at = self.dice.randrange(len(tasks))
            tasks[at] = msgspec.structs.replace(tasks[at], state=d.RUNNING, started=NOW - 1)
        look = next(self.looks)
        self.given = msgspec.structs.replace(
            self.given, tasks=tuple(tasks), now=NOW + look / 4, version=look
        )
        return self.given

    def shutdown(self) -> None:
        pass


class Launcher:
    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.engine.insight = Moving()

    def alive(self, _record: object) -> bool:
        return True

    def attach(self, _record: object) -> Any:
        return self.engine


def main() -> None:
    record = SimpleNamespace(directory="", head_address="", secret="", node=1)
    launcher: Any = Launcher()
    feed = Feed(Source(launcher, lambda: record))
    server = HTTPServer(application(feed, Access("key"), "nbray-simulated"))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    pulse = ticking(feed)
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/?key=key", flush=True)
    tornado.ioloop.IOLoop.current().start()
    pulse.stop()


if __name__ == "__main__":
    main()
