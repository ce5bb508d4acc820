"""Pins that the kernel keeps."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from nbray.runtime.store import pins
from nbray.wire.messages import Slot
from nbray.wire.pins import filler_pin

pytestmark = pytest.mark.skipif(not pins.PINS, reason="the system has no such locks")


@pytest.fixture
def node() -> Iterator[int]:
    descriptor = pins.make()
    yield descriptor
    os.close(descriptor)


def slot(generation: int) -> Slot:
    return Slot(1, 5, 0, 10, generation)


def test_what_is_pinned_the_node_does_not_get(node: int) -> None:
    viewed = {slot(3)}
    client = pins.Pins(os.getpid(), node, viewed.__contains__)
    assert client.hold(slot(3))
    assert not pins.take(node, 3)
    assert pins.is_held(node, 3)
    assert pins.take(node, 4)
    assert not client.hold(slot(4))
    viewed.clear()
    client.leave(slot(3))
    assert pins.take(node, 3)
    client.close()


def test_what_is_viewed_again_stays_pinned(node: int) -> None:
    viewed = {slot(3)}
    client = pins.Pins(os.getpid(), node, viewed.__contains__)
    client.hold(slot(3))
    client.leave(slot(3))  # and another view had begun
    assert not pins.take(node, 3)
    viewed.clear()
    client.check()
    assert pins.take(node, 3)
    client.close()


def test_two_clients_pin_the_same(node: int) -> None:
    one, other = (pins.Pins(os.getpid(), node, lambda _slot: False) for _ in range(2))
    assert one.hold(slot(3))
    assert other.hold(slot(3))
    one.leave(slot(3))
    assert not pins.take(node, 3)
    other.close()  # as the kernel does for the dead
    assert pins.take(node, 3)
    one.close()


def test_what_is_being_filled_is_pinned(node: int) -> None:
    client = pins.Pins(os.getpid(), node, lambda _slot: False)
    pin = filler_pin((7 << 32) + (1 << 31) + 5, 1 << 40)
    client.fill(pin)
    assert pins.is_held(node, pin)
    client.filled(pin)
    assert not pins.is_held(node, pin)
    client.close()
    gc.collect()


def test_another_file_is_not_taken_for_that_of_pins() -> None:
    descriptor = os.memfd_create("something")
    with pytest.raises(FileNotFoundError):
        pins.Pins(os.getpid(), descriptor, lambda _slot: False)
    os.close(descriptor)
