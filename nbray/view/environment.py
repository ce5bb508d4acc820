"""Packages that differ between the notebook and other nodes: a table and what mends it.

Owns the wording. Does not own the comparison. Rule: the command can be pasted
as it stands, in a terminal of the node that it is for.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import msgspec

from nbray.figures import plain
from nbray.view.render import render

MISSING = "missing"


class Difference(msgspec.Struct, frozen=True):
    """One package; '' as a version: it is not there."""

    package: str
    here: str
    there: str


class Mismatch(msgspec.Struct, frozen=True):
    """Nodes with the same differences from the notebook."""

    nodes: tuple[str, ...]
    rows: tuple[Difference, ...]
    python: str = "python"
    """The nodes' Python."""

    @property
    def title(self) -> str:
        """One sentence."""
        return f"Packages on {self.names} differ from the notebook's"

    @property
    def names(self) -> str:
        """`B, C and D`."""
        *first, last = self.nodes
        return f"{', '.join(first)} and {last}" if first else last

    @property
    def command(self) -> str:
        """What gives the nodes the notebook's versions."""
        wanted = [f"{row.package}=={row.here.partition('+')[0]}" for row in self.rows if row.here]
        return f"{shlex.quote(self.python)} -m pip install {' '.join(wanted)}"


def environment_html(found: Sequence[Mismatch]) -> str:
    """A table for each mismatch; '' if there is none."""
    return render("environment", found=found, missing=MISSING) if found else ""


def environment_text(found: Sequence[Mismatch]) -> str:
    """The same as text."""
    lines: list[str] = []
    for one in found:
        table = [("package", "here", one.names)]
        table += [(row.package, row.here or MISSING, row.there or MISSING) for row in one.rows]
        widths = [max(len(line[column]) for line in table) for column in (0, 1)]
        lines.append(f"{one.title}:")
        for name, here, there in table:
            lines.append(f"  {name:{widths[0]}}  {here:{widths[1]}}  {there}")
        lines.append(f"To match them, run there: {one.command}")
    return "\n".join(plain(line) for line in lines)
