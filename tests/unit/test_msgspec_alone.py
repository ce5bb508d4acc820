"""msgspec is loaded without typing_extensions, unless somebody else might be loading that."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SAY = "import sys; print('typing_extensions' in sys.modules); import typing_extensions, msgspec"
_ASIDE = "import threading, time; threading.Thread(target=time.sleep, args=(0.5,)).start(); "


@pytest.mark.parametrize(("before", "loaded"), [("", "False"), (_ASIDE, "True")])
def test_typing_extensions_is_left_out_where_there_is_one_thread(before: str, loaded: str) -> None:
    program = f"{before}import nbray; {_SAY}"
    run = [sys.executable, "-c", program]
    assert subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip() == loaded
