"""Measure and print. `python -m benchmarks [WORD ...]`: nbray's rows, or those named so, once.

`--peers` measures every system that is installed, in alternation, `--runs` times;
`--all` takes the slow rows too; `--write` renews docs/performance.md. `make bench`
gives all three.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
from importlib import metadata
from pathlib import Path

from benchmarks import tables
from benchmarks.rows import GROUPS, LEFT_OUT, Group, Row
from benchmarks.running import Book, measure

ROOT = Path(__file__).parent.parent
TITLES = {
    "feel": "What a user feels",
    "microbenchmark": "Ray's microbenchmark",
    "streams": "Generators",
    "environments": "Environments",
    "screens": "Events and progress",
    "shown": "The notebook",
    "panel": "The notebook",
    "stop": "The notebook",
    "namespaces": "Two machines",
    "moving": "Objects between machines",
    "million": "A million tasks",
    "map": "A map",
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="rows or groups that contain it")
    parser.add_argument("--peers", action="store_true", help="Ray and other pools too")
    parser.add_argument("--all", action="store_true", help="the slow rows too")
    parser.add_argument("--runs", type=int, default=1, help="processes for each system")
    parser.add_argument("--write", action="store_true", help="renew docs/performance.md")
    asked = parser.parse_args()
    plan = _plan(asked.words, asked.all)
    book = Book()
    systems = None if asked.peers else {"nbray", "limits", "serial"}
    if asked.peers:
        book.notes += [f"left out: {row} ({why})" for row, why in LEFT_OUT.items()]
    artifact = ROOT / "artifacts" / "benchmarks.json"
    artifact.parent.mkdir(exist_ok=True)

    def done(group: Group, system: str, run: int) -> None:
        print(f"    {group.name}: {system}, run {run + 1} of {asked.runs}", flush=True)
        artifact.write_text(json.dumps({"about": _about(book), **book.as_json()}, indent=1))

    measure(plan, systems, asked.runs, book, done)
    print(_about(book))
    shown = [tables.cells(row, book) for group, rows in plan for row in rows
             if group.name not in {"pools", "limits", "budget", "jobs"}]  # fmt: skip
    print(tables.lines([row for row in shown if row[2]], tables.HEAD))
    for found in tables.derived(book):
        print("  ".join(found))
    if tables.jobs(book):
        print(tables.lines(tables.jobs(book), tables.JOB_HEAD))
    if len(tables.pools(book)) > 2:
        head = ("system", "tasks async /s", "tasks sync /s", "map items /s")
        print(tables.lines(tables.pools(book), head))
    for group, rows in plan:
        for row in rows if group.name in {"limits", "budget"} else ():
            values = book.of(row.name, group.systems[0])
            if values:
                print(f"{row.name}: {tables.text(statistics.median(values))} {row.unit}")
    for note in book.notes:
        print(f"note: {note}")
    if asked.write:
        titled: dict[str, tuple[Row, ...]] = {}
        for group, rows in plan:
            if group.name in TITLES:
                title = TITLES[group.name]
                titled[title] = (*titled.get(title, ()), *rows)
        page = tables.page(list(titled.items()), book, _about(book))
        tables.write(ROOT / "docs" / "performance.md", page)


def _plan(words: list[str], everything: bool) -> list[tuple[Group, tuple[Row, ...]]]:
    plan = []
    for group in GROUPS:
        if not words:
            if everything or not group.slow:
                plan.append((group, group.rows))
            continue
        rows = tuple(
            row for row in group.rows if any(word in (group.name, row.name) or word in row.name
                                             for word in words)
        )  # fmt: skip
        if any(word == group.name for word in words):
            rows = group.rows
        if rows:
            plan.append((group, rows))
    return plan


def _about(book: Book) -> str:
    versions = []
    for package in ("nbray", "ray", "distributed", "ipyparallel", "loky", "pyzmq"):
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    busy = statistics.median(book.busy) if book.busy else 0.0
    most = max(book.busy, default=0.0)
    return (
        f"Measured {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} "
        f"cores, Linux {platform.release()}, Python {platform.python_version()}; "
        f"{', '.join(versions)}. Medians of whole processes, the systems in alternation. Before "
        f"each process others used {busy:.0f} % of the machine (median; at most {most:.0f} %)."
    )


if __name__ == "__main__":
    main()
