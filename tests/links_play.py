"""Links of a few nodes over real lanes, for tests of what they do to each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import zmq

from nbray.runtime.shell.network.links import Links


class Linked(Protocol):
    """Some nodes' links, by number, and the contexts of their sockets."""

    links: dict[int, Links]
    contexts: list[zmq.Context[zmq.Socket[bytes]]]


T = TypeVar("T", bound=Linked)


def closed_after(made: T) -> Iterator[T]:
    """What a fixture gives; its lanes and contexts end with the test."""
    yield made
    for links in made.links.values():
        links.lanes.close()
    for context in made.contexts:
        context.term()
