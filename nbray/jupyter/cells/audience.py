"""Who looks at what a cell shows: the notebook's own editor, a visitor, or nobody as yet.

Owns the decision whether there are widgets and buttons, by the running cell's
request and the kernel's environment. Does not own what is shown. Rules: buttons
are for whoever could as well run a cell: a visitor of a page made from the
notebook (voila) gets none, nor anything by which a cluster could be entered. In
a batch run (nbclient, nbconvert, papermill, nbval) nobody is there to press or to
see anything move, so there are no widgets, whose state would be saved.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from nbray.dashboard.links import visited

SWITCH = "NBRAY_CONTROLS"
"""'0' in the kernel's environment: no buttons anywhere."""


class Audience(msgspec.Struct, frozen=True):
    """What may be shown to it."""

    widgets: bool = True
    """Displays that move."""
    controls: bool = True
    """Buttons."""
    secrets: bool = True
    """What opens a cluster, where the user asks for it."""


def judge(environ: Mapping[str, str], request: Mapping[str, Any]) -> Audience:
    """The audience of a kernel in *environ* that runs the cell which *request* asked for. Pure."""
    wanted = environ.get(SWITCH, "").strip().lower() not in {"0", "false", "no", "off"}
    if visited(environ):
        return Audience(widgets=True, controls=False, secrets=False)
    # Who executes a notebook for nobody to see says that he cannot answer `input()` either.
    if (request.get("content") or {}).get("allow_stdin", True) is False:
        return Audience(widgets=False, controls=False)
    return Audience(controls=wanted)


def audience(kernel: Any) -> Audience:
    """That of what *kernel* runs just now (None: of a terminal)."""
    ask = getattr(kernel, "get_parent", None)
    return judge(os.environ, (ask("shell") if ask is not None else {}) or {})
