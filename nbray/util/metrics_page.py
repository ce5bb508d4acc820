"""The page that Prometheus reads: numbers of all processes, as text, on loopback.

Owns the actor that gathers and serves them; it is there once a process has recorded a
number, on the head's machine. Does not own the numbers (`metrics`).
"""

from __future__ import annotations

import http.server
import math
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from nbray import session
from nbray.context import metrics_port
from nbray.details import TASKS
from nbray.engine import Engine
from nbray.exceptions import RayError
from nbray.ids import FIRST_NODE, OWN_NAMESPACE, worker_hex
from nbray.remote import remote

Tags = tuple[tuple[str, str], ...]
MOST = 1000
"""Processes whose numbers are told apart; those of older ones are added up."""


class Numbers(msgspec.Struct):
    """The value of a counter or gauge; of a histogram the sum, and how many in which range."""

    value: float
    counts: list[int] = []


class Series(msgspec.Struct):
    """One metric of one process: its numbers by their tags."""

    name: str
    kind: str
    text: str
    buckets: tuple[float, ...]
    numbers: dict[Tags, Numbers]


class MetricsPage:
    """What processes have said of their numbers, and the page of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: dict[Tags, dict[str, Series]] = {}
        """The series of each process, by its own tags."""
        engine = session.require()
        port = metrics_port(engine)
        page = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers.get("Host", "").rpartition(":")[0] in _HOSTS
                there = known and self.path.split("?")[0] in {"/", "/metrics"}
                if there:
                    page.forget(gone(engine))
                body = page.text().encode() if there else b""
                self.send_response(200 if there else 404 if known else 403)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, name="nbray-metrics", daemon=True).start()

    def take(self, where: dict[str, str], series: list[Series]) -> None:
        """Numbers of a process, which replace what it has said before of the same metrics."""
        with self._lock:
            key = tuple(where.items())
            known = self._processes.pop(key, {})
            known.update((one.name, one) for one in series)
            self._processes[key] = known  # at the end: it was heard of last
            while len(self._processes) > MOST:
                self._add_up()

    def _add_up(self) -> None:
        """Counters and histograms of the process not heard of for longest go to 'others'."""
        others = (("WorkerId", "others"),)
        total = self._processes.pop(others, {})
        oldest = self._processes.pop(next(iter(self._processes)))
        for one in oldest.values():
            if one.kind == "gauge":
                continue
            into = total.setdefault(one.name, Series(one.name, one.kind, one.text, one.buckets, {}))
            for tags, more in one.numbers.items():
                before = into.numbers.get(tags) or Numbers(0.0, [0] * len(more.counts))
                counts = [a + b for a, b in zip(before.counts, more.counts, strict=False)]
                into.numbers[tags] = Numbers(before.value + more.value, counts)
        self._processes[others] = total

    def forget(self, workers: Iterable[str]) -> None:
        """These processes have ended: their gauges say nothing any more."""
        ended = set(workers)
        with self._lock:
            for where, known in self._processes.items():
                if dict(where).get("WorkerId") in ended:
                    for name in [one.name for one in known.values() if one.kind == "gauge"]:
                        del known[name]

    def text(self) -> str:
        """The page, in Prometheus' text format."""
        by_name: dict[str, list[tuple[Tags, Series]]] = {}
        with self._lock:
            for where, known in self._processes.items():
                for one in known.values():
                    by_name.setdefault(one.name, []).append((where, one))
        return "".join(line for name in sorted(by_name) for line in _lines(name, by_name[name]))


def gone(engine: Engine) -> list[str]:
    """Ids of processes that have ended of late, as far as is known: the next look knows more."""
    try:
        return [worker_hex(one.client) for one in engine.insight.details(TASKS).gone]
    except RayError:  # the cluster ends
        return []


_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
"""What the page may be called: a page elsewhere cannot reach it by a name of its own."""


def _lines(name: str, found: list[tuple[Tags, Series]]) -> Iterator[str]:
    kind, text = found[0][1].kind, found[0][1].text
    full = f"ray_{name.replace(':', '_')}"
    if kind == "counter" and not full.endswith("_total"):
        full += "_total"
    yield f"# HELP {full} {_escaped(text, quotes=False)}\n# TYPE {full} {kind}\n"
    for where, series in found:
        if series.kind != kind:  # another program's, of the same name: a page has one of each
            continue
        for tags, numbers in series.numbers.items():
            labels = (*where, *tags)
            if kind != "histogram":
                yield f"{full}{_labels(labels)} {_number(numbers.value)}\n"
                continue
            count = 0
            for bound, more in zip((*series.buckets, math.inf), numbers.counts, strict=True):
                count += more
                edge = "+Inf" if bound == math.inf else str(bound)
                yield f"{full}_bucket{_labels((*labels, ('le', edge)))} {count}\n"
            yield f"{full}_sum{_labels(labels)} {_number(numbers.value)}\n"
            yield f"{full}_count{_labels(labels)} {count}\n"


def _labels(tags: Iterable[tuple[str, str]]) -> str:
    named = {_label(key): value for key, value in tags}  # a label comes once; the program's counts
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in named.items()) + "}"


def _label(key: str) -> str:
    """A tag's name as Prometheus allows it."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    return f"key_{name}" if name[:1].isdigit() or not name else name


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else str(value)


def _escaped(text: str, quotes: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text


def page_actor() -> Any:
    """The handle of the cluster's page; made by whoever needs it first."""
    made = remote(num_cpus=0)(MetricsPage).options(
        name="metrics", namespace=OWN_NAMESPACE, get_if_exists=True, lifetime="detached",
        node=FIRST_NODE,
    )  # fmt: skip
    return made.remote()
