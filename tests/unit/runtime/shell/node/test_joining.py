"""A machine that joins: what comes with its number, and right behind it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nbray.ids import FIRST_NODE, HEAD, client_id, node_client
from nbray.options import UNIT
from nbray.runtime.core import versions
from nbray.runtime.shell.network.links import Links, Received
from nbray.runtime.shell.network.listener import Door
from nbray.runtime.shell.node import joining
from nbray.wire import messages as m
from nbray.wire.codec import encode, head_decoder
from nbray.wire.secret import Secret

CPU = {"CPU": UNIT}
INFO = m.NodeInfo(0, "lab", "127.0.0.1", 1, CPU, CPU)
DRIVER = client_id(FIRST_NODE, 5)


class Answering(Links):
    """The head's node answers a `Join`, and sends more in the same moment."""

    def __init__(self, before: list[object], behind: list[object]) -> None:
        super().__init__(Door(Secret.generate(), 0), lambda _: "", lambda: ())
        self.before, self.behind = before, behind
        self.answer: Received | None = None

    def dial(self, peer: int, address: str, now: float) -> None:
        pass

    def send(self, peer: int, frames: Any, now: float) -> None:
        ticket = head_decoder().decode(frames[1]).ticket
        welcome = m.Welcome(HEAD, ticket, 2, 7, [INFO])
        said = [*self.before, welcome, *self.behind]
        self.answer = Received(
            control=[(FIRST_NODE, [encode(message)]) for message in said],
            bulk=[(FIRST_NODE, [b"a piece"])],
        )

    def receive(self, now: float, ready: Any = None) -> Received:
        if self.answer is not None:
            got, self.answer = self.answer, None
            return got
        return super().receive(now, ready)


def refused(**_: Any) -> None:
    raise OSError("too many open files")


DEMAND = m.Demand(node_client(FIRST_NODE), 1, CPU, 4, 0, 0, DRIVER)
MEMBERS = m.Members(HEAD, [INFO])


@pytest.mark.parametrize(
    ("before", "behind"),
    [([], [DEMAND]), ([MEMBERS], [MEMBERS, DEMAND]), ([], [MEMBERS]), ([MEMBERS], [])],
)
def test_what_comes_behind_the_number_is_kept_for_the_node(
    before: list[object], behind: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "probe", lambda *_: None)
    links = Answering(before, behind)
    try:
        joining.join(links, "127.0.0.1:1", Secret.generate(), INFO, versions.own())
        now = time.monotonic()
        due = links.next_deadline()
        assert due is not None
        assert due <= now, "nobody is to wait for it"
        got = links.receive(now)
        assert [frames for _, frames in got.control] == [[encode(said)] for said in behind]
        assert got.bulk == [(FIRST_NODE, [b"a piece"])]
        assert not links.receive(now).control
        links.keep(got)
        monkeypatch.setattr(links.lanes, "receive", refused, raising=False)
        with pytest.raises(OSError, match="too many"):
            links.receive(now)
        monkeypatch.undo()
        assert links.receive(now).control == got.control, "kept, whatever the system refuses"
    finally:
        links.lanes.close()
