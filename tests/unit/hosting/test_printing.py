"""What tasks printed, as text of this process."""

from __future__ import annotations

import pytest

from nbray.events import Display, Output
from nbray.hosting.printing import print_event


def test_each_line_tells_its_origin(capsys: pytest.CaptureFixture[str]) -> None:
    print_event(Output("", 1, "lab", 9, "f", "stdout", "a\n\nb\n"))
    print_event(Output("", 1, "lab", 9, "f", "stderr", "oops\n"))
    print_event(Display("", 1, "lab", 9, "f", {"text/plain": "<Figure>"}))
    out, err = capsys.readouterr()
    assert out == "(f pid=9) a\n\n(f pid=9) b\n(f pid=9) <Figure>\n"
    assert err == "(f pid=9) oops\n"


def test_a_program_without_streams_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)  # started with `>&-`
    monkeypatch.setattr("sys.stderr", None)
    for stream in ("stdout", "stderr"):
        print_event(Output("", 1, "lab", 9, "f", stream, "a\n"))
