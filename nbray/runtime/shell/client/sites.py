"""Where in users' code objects were made, for screens.

Owns the lines and cells by the numbers of a client's objects. Does not own how they are shown
(`nbray.view`). Rules: what lies in the store costs a look at a few frames, a thousandth of what
storing it takes, and is always recorded; small values and tasks only where the user asks for it,
by the variable of Ray's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Mapping
from typing import Any

from nbray import session
from nbray.config import MOST_SITES, RECORD_SITES
from nbray.refs import ObjectRef

_OURS = ("nbray.", "ray.")


def recorded(environ: Mapping[str, str]) -> bool:
    """Whether the line is recorded of everything (`RAY_record_ref_creation_sites=1`)."""
    return environ.get(RECORD_SITES, "").strip().lower() in {"1", "true"}


class Sites:
    """Those of one client, of whose objects *owned* has the numbers."""

    def __init__(self, owned: Container[int], most: int = MOST_SITES) -> None:
        self._owned = owned
        self._most = most
        self._sites: dict[int, tuple[str, str, int]] = {}
        """By number: (cell, file, line)."""

    def note(self, seq: int) -> None:
        """Object *seq* is made by the code that called nbray."""
        frame = sys._getframe(1)
        while (outer := frame.f_back) is not None:
            name = frame.f_globals.get("__name__", "")
            if name != "nbray" and not name.startswith(_OURS):
                break
            frame = outer
        sites = self._sites
        sites[seq] = (session.cell.get(), frame.f_code.co_filename, frame.f_lineno)
        if len(sites) > self._most:
            self._forget()

    def _forget(self) -> None:
        """Drop those of objects that are no more; if that is too few, the oldest."""
        sites = list(self._sites.items())
        left = {seq: site for seq, site in sites if seq in self._owned}
        for seq in list(left)[: max(0, len(left) - self._most // 2)]:
            del left[seq]
        self._sites = left

    def find(self, seq: int) -> tuple[str, str]:
        """(cell, line) of an object; of a cell only the line's number, for the cell has a name."""
        site = self._sites.get(seq)
        if site is None:
            return "", ""
        cell, file, line = site
        named = file.startswith("<") or "ipykernel_" in file
        return cell, f"line {line}" if named else f"{file}:{line}"

    def noting(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """*make*, which gives a reference or a list of them, with its callers' lines noted."""

        def made(*args: Any) -> Any:
            found = make(*args)
            for ref in found if isinstance(found, list) else [found]:
                if isinstance(ref, ObjectRef):
                    self.note(ref.seq)
            return found

        return made
