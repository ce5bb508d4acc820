"""How what a worker prints and shows leaves it."""

from __future__ import annotations

from nbray.hosting.output import Origin, Shown
from nbray.runtime.core.effects import Send
from nbray.runtime.shell.worker.process import sending
from nbray.wire import messages as m


def test_text_and_displays_go_to_the_driver_of_their_job() -> None:
    send = sending(8, 99)
    who = Origin(7, "c", "f")
    assert send(who, "stderr", "text") == Send(7, m.Printed(8, "c", 99, "f", "stderr", "text"))
    shown = Shown({"text/plain": "x"}, {"a": 1}, "id", True, 12)
    displayed = m.Displayed(8, "c", 99, "f", {"text/plain": "x"}, {"a": 1}, "id", True, 12)
    assert send(who, "", shown) == Send(7, displayed)
