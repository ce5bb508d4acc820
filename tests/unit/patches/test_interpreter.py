"""A process says which virtual environment it is in, and can leave it."""

from __future__ import annotations

import sys
from pathlib import Path

from nbray.patches import interpreter


def test_standing_in_and_back():
    before = (sys.executable, sys.prefix, sys.exec_prefix)
    interpreter.stand_in(Path("/an/environment"))
    try:
        assert sys.executable == "/an/environment/bin/python"
        assert sys.prefix == sys.exec_prefix == "/an/environment"
    finally:
        interpreter.take_back()
    assert (sys.executable, sys.prefix, sys.exec_prefix) == before
