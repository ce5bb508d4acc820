"""Messages from tasks as events, and as text of this process."""

from __future__ import annotations

import pytest

from nbray.events import Display, Output
from nbray.ids import client_id
from nbray.runtime.shell.delivery import event_of, print_event
from nbray.wire import messages as m

ME = client_id(3, 5)


def test_messages_become_events() -> None:
    text = event_of(m.Printed(ME, "c", 9, "f", "stderr", "hello"), "lab")
    assert text == Output("c", 3, "lab", 9, "f", "stderr", "hello")
    shown = event_of(m.Displayed(ME, "c", 9, "f", {"a": "b"}, {}, "id", True), "lab")
    assert shown == Display("c", 3, "lab", 9, "f", {"a": "b"}, {}, "id", True)


def test_each_line_tells_its_origin(capsys: pytest.CaptureFixture[str]) -> None:
    print_event(Output("", 1, "lab", 9, "f", "stdout", "a\n\nb\n"))
    print_event(Output("", 1, "lab", 9, "f", "stderr", "oops\n"))
    print_event(Display("", 1, "lab", 9, "f", {"text/plain": "<Figure>"}))
    out, err = capsys.readouterr()
    assert out == "(f pid=9) a\n\n(f pid=9) b\n(f pid=9) <Figure>\n"
    assert err == "(f pid=9) oops\n"
