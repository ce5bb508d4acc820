"""Writes docs/ray-compatibility.md: every public name of Ray Core, and what nbray has for it.

    .ci/ray_compatibility.py            write the page
    .ci/ray_compatibility.py --check    say whether it is what would be written

Ray's names are those of docs/ray-names.txt (.ci/ray_names.py makes it, where Ray is installed),
what nbray has is looked up in nbray itself, how it differs and why it is absent stands in
docs/ray-names-notes.txt, and differences of behaviour in tests/contract/differences.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbray
from nbray import arguments, cli, options, where

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ray-compatibility.md"
MISSING = object()
UNEXPLAINED = "not built"
REFUSED = "refused: "
"""How notes begin on what only says that it is not there."""


class Row(NamedTuple):
    """A name, whether nbray has it, and the note on it ('' if it is as in Ray)."""

    name: str
    there: bool
    note: str

    @property
    def state(self) -> str:
        if not self.there:
            return f"absent: {self.note or UNEXPLAINED}"
        return f"different: {self.note}" if self.note else "done"


def sections(path: Path) -> dict[str, list[str]]:
    """The lines under each [heading] of *path*."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def resolved(path: str) -> Any:
    """What *path* ('ray.util.queue.Queue') names in nbray, or MISSING."""
    value: Any = nbray
    at = "nbray"
    for name in path.split(".")[1:]:
        at += f".{name}"
        try:
            value = getattr(value, name)
        except AttributeError:
            try:
                value = importlib.import_module(at)
            except ImportError:
                return MISSING
    return value


def _accepted(what: str) -> set[str]:
    """The options that are taken for *what* ('tasks', 'actors')."""
    own = options._TASK if what == "tasks" else options._ACTOR
    return {*own, *options._WITHOUT_EFFECT, *where.PLACING}


def _commands(path: list[str]) -> Any:
    command: Any = cli.main
    for name in path:
        if command is not None and hasattr(command, "commands"):  # else one has all its options
            command = command.commands.get(name)
    return command


def _has(section: str) -> Any:
    """What says whether nbray has a name of *section*."""
    if section.startswith("options of ray "):
        command = _commands(section.split()[3:])
        opts = {o for one in getattr(command, "params", ()) for o in one.opts}
        return opts.__contains__
    if section.startswith("commands"):
        command = _commands(section.split()[3:])
        return set(getattr(command, "commands", ())).__contains__
    if section.startswith("options of "):
        return _accepted(section.split()[2]).__contains__
    if section == "arguments of ray.init":
        known = set(inspect.signature(nbray.init).parameters)
        known |= arguments.OWN | arguments.HARMLESS
        return (known | {"local_mode"}).__contains__
    return lambda name: resolved(f"{section}.{name}") is not MISSING


def notes() -> dict[str, dict[str, str]]:
    """Notes by section and name; '*' is for all of a section that have none of their own."""
    return {
        title: dict((part.strip() for part in line.split(":", 1)) for line in lines)  # type: ignore[misc]
        for title, lines in sections(ROOT / "docs" / "ray-names-notes.txt").items()
    }


def rows() -> Iterator[tuple[str, list[Row]]]:
    """Each section of Ray's names, with its rows."""
    said = notes()
    everywhere = said.get("everywhere", {})
    for title, names in sections(ROOT / "docs" / "ray-names.txt").items():
        has, own = _has(title), said.get(title, {})
        made = []
        for name in names:
            there = bool(has(name))
            note = own.get(name) or everywhere.get(name) or ("" if there else own.get("*", ""))
            refused = note.startswith(REFUSED)
            made.append(Row(name, there and not refused, note.removeprefix(REFUSED)))
        yield title, made


def differences() -> Any:
    """The table of tests/contract/differences.py."""
    path = ROOT / "tests" / "contract" / "differences.py"
    spec = importlib.util.spec_from_file_location("contract_differences", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DIFFERENCES


def page() -> str:
    """The whole page."""
    tables = list(rows())
    every = [row for _, made in tables for row in made]
    absent = sum(not row.there for row in every)
    different = sum(row.there and bool(row.note) for row in every)
    lines = [
        "# Ray's names, and what nbray has for them",
        "",
        "Written by `.ci/ray_compatibility.py` (`make compatibility`); do not edit.",
        "",
        (
            f"Ray 2.60 has {len(every)} public names in its Core, its `util` and its command line: "
            f"{len(every) - absent - different} are done, {different} different, {absent} absent "
            f"({100 * absent / len(every):.1f} percent)."
        ),
        "",
        "## What differs on purpose",
        "",
        "| behaviour | Ray | nbray | why |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {d.behaviour} | {d.ray} | {d.nbray} | {d.reason} |" for d in differences()]
    for title, made in tables:
        done = [f"`{row.name}`" for row in made if row.state == "done"]
        lines += ["", f"## {title}", ""]
        if done:
            lines += ["Done: " + ", ".join(done) + ".", ""]
        rest = [row for row in made if row.state != "done"]
        if rest:
            lines += ["| name | |", "| --- | --- |"]
            lines += [f"| `{row.name}` | {row.state} |" for row in rest]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text() == text else "docs/ray-compatibility.md: make compatibility")
    PAGE.write_text(text)
    print(text.splitlines()[4])
