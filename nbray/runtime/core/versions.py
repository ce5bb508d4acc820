"""Do two machines fit together: comparing versions, and the table that says why not.

Rule: Python's major and minor version and the protocol must agree, because
pickled code does not travel between Python minors; nbray's own may differ.
"""

from __future__ import annotations

import platform
from functools import cache

from nbray.config import PROTOCOL
from nbray.version import __version__
from nbray.wire.messages import Versions


@cache
def own() -> Versions:
    """What this process runs."""
    return Versions(PROTOCOL, platform.python_version(), __version__)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def differences(ours: Versions, theirs: Versions) -> str:
    """'' if they fit; else one sentence with the table of versions and what mends it."""
    if _minor(ours.python) == _minor(theirs.python) and ours.protocol == theirs.protocol:
        return ""
    table = "; ".join(
        f"{name}: {left} in the cluster, {right} here"
        for name, left, right in (
            ("Python", ours.python, theirs.python),
            ("nbray", ours.nbray, theirs.nbray),
            ("protocol", str(ours.protocol), str(theirs.protocol)),
        )
        if left != right
    )
    if _minor(ours.python) != _minor(theirs.python):
        mend = f"use Python {_minor(ours.python)} here"
    else:
        mend = f"pip install nbray=={ours.nbray}"
    return f"versions differ ({table}): {mend}"
