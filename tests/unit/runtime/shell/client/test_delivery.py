"""Messages from tasks as events, and as text of this process."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nbray.config import PRINTED_AHEAD
from nbray.events import Display, Output
from nbray.ids import client_id
from nbray.runtime.core.client.brain import CROWDED, ClientBrain
from nbray.runtime.core.client.host import Host
from nbray.runtime.shell.client.delivery import Delivery, event_of
from nbray.wire import messages as m

ME = client_id(3, 5)


def test_messages_become_events() -> None:
    text = event_of(m.Printed(ME, "c", 9, "f", "stderr", "hello"), "lab")
    assert text == Output("c", 3, "lab", 9, "f", "stderr", "hello")
    shown = event_of(m.Displayed(ME, "c", 9, "f", {"a": "b"}, {}, "id", True), "lab")
    assert shown == Display("c", 3, "lab", 9, "f", {"a": "b"}, {}, "id", True)


class Sent:
    """A loop that notes what is sent."""

    def __init__(self) -> None:
        self.effects: list[Any] = []
        self.now = time.monotonic

    def locked(self, action: Any) -> None:
        self.effects += action()


@pytest.mark.parametrize("pieces", [[PRINTED_AHEAD], [1000] * 300, [1, PRINTED_AHEAD // 4, 1]])
def test_who_prints_much_hears_that_it_was_shown(pieces: list[int]) -> None:
    loop, brain, seen = Sent(), ClientBrain(client_id(1, 2), 1, lambda *_: b""), []
    delivery = Delivery(loop, brain)  # type: ignore[arg-type]
    delivery.sink = seen.append
    for size in pieces:
        brain.handle(m.Printed(ME, "c", 9, "f", "stdout", "x" * size), 0.0)
    delivery.all()
    assert [len(event.text) for event in seen] == pieces
    assert {effect.to for effect in loop.effects} == {ME}
    told = sum(effect.message.size for effect in loop.effects)
    assert 0 <= sum(pieces) - told < PRINTED_AHEAD // 4


def test_what_fails_in_showing_holds_nobody_back(capfd: pytest.CaptureFixture[str]) -> None:
    loop, brain, seen = Sent(), ClientBrain(client_id(1, 2), 1, lambda *_: b""), []

    def sink(event: Any) -> None:
        seen.append(event)
        raise OSError("no room")

    delivery = Delivery(loop, brain)  # type: ignore[arg-type]
    delivery.sink = sink
    for _ in range(3):
        brain.handle(m.Displayed(ME, "c", 9, "f", {}, {}, size=PRINTED_AHEAD), 0.0)
    delivery.all()
    assert len(seen) == len(loop.effects) == 3
    assert "no room" in capfd.readouterr().err


def test_much_text_is_shown_at_once() -> None:
    brain = ClientBrain(client_id(1, 2), 1, lambda *_: b"")
    calls: list[int] = []
    brain.attach(Host(crowded=lambda: calls.append(1)))
    brain.handle(m.Printed(ME, "c", 9, "f", "stdout", "few"), 0.0)
    assert not calls
    brain.handle(m.Printed(ME, "c", 9, "f", "stdout", "x" * CROWDED), 0.0)
    assert calls == [1]


def test_an_interrupt_in_showing_leaves_nobody_waiting() -> None:
    loop, brain = Sent(), ClientBrain(client_id(1, 2), 1, lambda *_: b"")

    def sink(_: Any) -> None:
        raise KeyboardInterrupt

    delivery = Delivery(loop, brain)  # type: ignore[arg-type]
    delivery.sink = sink
    for _ in range(3):
        brain.handle(m.Printed(ME, "c", 9, "f", "stdout", "x" * PRINTED_AHEAD), 0.0)
        with pytest.raises(KeyboardInterrupt):
            delivery.all()
    assert [effect.message.size for effect in loop.effects] == [PRINTED_AHEAD] * 3
