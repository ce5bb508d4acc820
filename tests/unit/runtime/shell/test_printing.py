"""The form of a printed line outside notebooks."""

from __future__ import annotations

import pytest

from nbray.events import Output
from nbray.runtime.shell.printing import print_here


def test_every_line_says_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    print_here(Output("", 1, "host", 7, "f", "stdout", "one\n\ntwo"))
    print_here(Output("", 1, "host", 7, "f", "stderr", "bad\n"))
    out, err = capsys.readouterr()
    assert out == "(f pid=7) one\n\n(f pid=7) two"
    assert err == "(f pid=7) bad\n"
