"""Messages to bytes and back, and the envelope that carries them between machines.

A decoder is made for one role, so a message that the role does not accept is
refused like any other malformed frame: `decode` raises `CorruptFrame`.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from nbray.text import forgiving
from nbray.wire import messages

T = TypeVar("T")

ENVELOPE = struct.Struct("!BQ")
"""A forwarded message is preceded by this frame: 0x46 ('F') and the receiver's client id."""
_MARK = 0x46

encode = forgiving(msgspec.msgpack.Encoder().encode)
"""A message as bytes. It never fails: what has no form on the wire gets one (`nbray.text`)."""


class CorruptFrame(ValueError):
    """Bytes that are no message the receiver accepts."""


class Decoder(Generic[T]):
    """Decodes one union of messages."""

    def __init__(self, union: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(union).decode

    def decode(self, frame: bytes | memoryview) -> T:
        """The message in *frame*.

        Raises:
            CorruptFrame: malformed, or not for this role.
        """
        try:
            message: T = self._decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptFrame(str(error)) from None
        return message


@cache
def client_decoder() -> Decoder[messages.ToClient]:
    """For drivers and workers. It takes 4 ms: root makes it, and its workers share it."""
    return Decoder(messages.ToClient)


def node_decoder() -> Decoder[messages.ToNode]:
    """For nodes."""
    return Decoder(messages.ToNode)


@cache
def head_decoder() -> Decoder[messages.ToHead]:
    """For the head."""
    return Decoder(messages.ToHead)


def envelope(receiver: int) -> bytes:
    """The frame that precedes a message to be forwarded to *receiver*."""
    return ENVELOPE.pack(_MARK, receiver)


def receiver(frame: bytes) -> int | None:
    """The receiver that an envelope names; None if *frame* is no envelope."""
    if len(frame) != ENVELOPE.size or frame[0] != _MARK:
        return None
    number: int = ENVELOPE.unpack(frame)[1]
    return number
