"""What tasks printed, folded by node; and the card that `init` shows.

Owns the grouping and the counting of lines. Does not own streaming: lines
that appear as they are printed are plain stream output. Rule: no line is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from nbray import figures
from nbray.events import Output, Snapshot
from nbray.view.panel import panel
from nbray.view.render import render

ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class OutputLine(msgspec.Struct, frozen=True):
    """One printed line and who printed it."""

    who: str
    text: str
    error: bool


class Block(msgspec.Struct, frozen=True):
    """All lines of one node, in the order in which they arrived."""

    name: str
    lines: tuple[OutputLine, ...]
    count: str


class Card(msgspec.Struct, frozen=True):
    """What `init` returned, as a screen shows it."""

    title: str
    facts: tuple[str, ...]
    details: tuple[tuple[str, str], ...]
    dot: str


def blocks(outputs: Sequence[Output]) -> list[Block]:
    """One block a node; pieces of a line that one task printed apart are joined."""
    by_node: dict[tuple[int, str], list[OutputLine]] = {}
    open_ends: dict[tuple[int, int, str], int] = {}
    for output in outputs:
        name = output.node_name or f"node {output.node}"
        lines = by_node.setdefault((output.node, name), [])
        who = f"{output.task} {output.pid}" if output.task else str(output.pid)
        source = (output.node, output.pid, output.stream)
        text = ANSI.sub("", output.text).replace("\r\n", "\n")
        pieces = text.split("\n")
        ends_open = pieces[-1] != ""
        if not ends_open:
            pieces.pop()
        at = open_ends.pop(source, -1)
        if at >= 0 and pieces:
            # The whole line is what stands after the last carriage return, as on a terminal.
            lines[at] = msgspec.structs.replace(lines[at], text=lines[at].text + pieces.pop(0))
        else:
            at = -1
        for piece in pieces:
            lines.append(OutputLine(who, piece, output.stream == "stderr"))
        if ends_open:
            open_ends[source] = at if at >= 0 and not pieces else len(lines) - 1
    return [
        Block(
            name=name,
            lines=tuple(
                msgspec.structs.replace(line, text=line.text.rstrip("\r").rpartition("\r")[2])
                for line in lines
            ),
            count=figures.noun(len(lines), "line"),
        )
        for (_, name), lines in by_node.items()
    ]


def _heading(found: Sequence[Block]) -> str:
    lines = sum(len(block.lines) for block in found)
    return f"{figures.noun(len(found), 'node')}, {figures.noun(lines, 'line')}"


def output_html(outputs: Sequence[Output]) -> str:
    """What was printed, folded: one `<details>` a node; '' if nothing was."""
    found = blocks(outputs)
    return render("output", blocks=found, heading=_heading(found)) if found else ""


def output_text(outputs: Sequence[Output]) -> str:
    """The same as text: `node  line` for each line."""
    found = blocks(outputs)
    side = max((len(block.name) for block in found), default=0)
    return "\n".join(
        f"{block.name.ljust(side)}  {line.text}" for block in found for line in block.lines
    )


def _card(snapshot: Snapshot, details: Sequence[tuple[str, str]]) -> Card:
    what = panel(snapshot)
    more = [("join", what.join)] if what.join else []
    return Card(
        title=f"nbray: {what.title}" if what.rows else what.title,
        facts=what.facts,
        details=(*details, *more),
        dot=what.dot,
    )


def context_html(snapshot: Snapshot, details: Sequence[tuple[str, str]] = ()) -> str:
    """The card a cell shows for what `init` returned; *details* are (name, value) pairs."""
    return render("context", card=_card(snapshot, details))


def context_text(snapshot: Snapshot, details: Sequence[tuple[str, str]] = ()) -> str:
    """The same in a few lines of text."""
    card = _card(snapshot, details)
    lines = [" · ".join((card.title, *card.facts))]
    return "\n".join(lines + [f"  {name}: {value}" for name, value in card.details])
