"""Messages cut into pieces and joined again."""

from __future__ import annotations

import os
import struct

import pytest

from nbray.config import MAX_FRAME, MAX_MESSAGE, PIECE
from nbray.runtime.core.network.link import HEADER_SIZE
from nbray.runtime.core.network.pieces import Joiner, cut

HEAD = struct.Struct("!BBQQ")


def kept(joiner: Joiner) -> int:
    """Bytes that it holds of what has not come whole."""
    return sum(map(len, [*joiner._frames, joiner._frame or b""]))


@pytest.mark.parametrize(
    "sizes",
    [[0], [1], [9, PIECE - 9], [9, PIECE], [9, PIECE + 1], [9, 0], [9, 3 * PIECE], [PIECE + 1, 0]],
)
def test_what_is_cut_is_joined_again(sizes: list[int]) -> None:
    frames = [os.urandom(size) for size in sizes]
    joiner = Joiner()
    got = []
    for payload in cut(frames):
        assert all(len(frame) + HEADER_SIZE < MAX_FRAME for frame in payload)
        whole = joiner.add(payload)
        if whole is not None:
            got.append([bytes(frame) for frame in whole])
    assert got == [frames]
    assert joiner.dropped == 0
    assert kept(joiner) == 0


def test_what_is_small_travels_as_it_is() -> None:
    frames = [b"x" * 9, b"y" * 1000]
    assert list(cut(frames)) == [frames]
    assert Joiner().add(frames) is frames


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, MAX_MESSAGE + 1, 0, b"x")],  # more than anybody takes
        [(0, 1 << 62, 0, b"x")],
        [(0, 10, 5, b"abcde")],  # the start is missing
        [(0, 10, 0, b"abc"), (0, 10, 4, b"abc")],  # a hole
        [(0, 10, 0, b"abc"), (0, 12, 3, b"abc")],  # another frame
        [(0, 3, 0, b"abcd")],  # longer than announced
    ],
)
def test_nonsense_is_dropped_and_what_follows_is_taken(
    pieces: list[tuple[int, int, int, bytes]],
) -> None:
    joiner = Joiner()
    for more, size, start, piece in pieces:
        assert joiner.add([HEAD.pack(0x50, more, size, start), piece]) is None
    assert joiner.dropped == 1
    assert kept(joiner) == 0
    assert joiner.add([HEAD.pack(0x50, 0, 2, 0)]) is None  # no piece at all: more is to come
    whole = None
    for payload in cut([b"fine" * PIECE]):
        whole = joiner.add(payload)
    assert whole is not None
    assert bytes(whole[0]) == b"fine" * PIECE


def test_the_frames_of_a_message_wait_for_one_another() -> None:
    joiner = Joiner()
    assert joiner.add([HEAD.pack(0x50, 1, 3, 0), b"abc"]) is None
    assert joiner.add([HEAD.pack(0x50, 0, 4, 0), b"de"]) is None
    assert kept(joiner) == 3 + 4
    whole = joiner.add([HEAD.pack(0x50, 0, 4, 2), b"fg"])
    assert whole is not None
    assert list(map(bytes, whole)) == [b"abc", b"defg"]
    assert kept(joiner) == 0
