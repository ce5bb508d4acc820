"""The frames of a failed task, as they travel with its error.

Owns these records, their bytes and how a value looks in a line. Does not own
the capturing (`nbray.wire.frame_capture`) nor the looking at them
(`nbray.jupyter.failures.debug`). Rule: a record can be shown whatever is in it; a value
is rebuilt only when somebody asks for it.
"""

from __future__ import annotations

import math
import pickle
import re
import reprlib
from collections.abc import Sequence
from typing import Any

import msgspec

from nbray.text import forgiving

WHERE = "where "
"""Stands before the values of the names on the line that failed."""
SHORT = 120
"""Characters of a value in a line."""
FEW = 16
"""Elements of an array that are shown."""
FEW_BYTES = 4096
"""Bytes that those have at most, to be written out as numpy does it."""
MOST_INPUTS = 3
"""Arguments of one of many failed tasks that are told."""
INPUT = 40
"""Characters of each."""


HIDDEN = "(hidden: it may be a secret)"
"""Stands for the value of what is called as secrets are, where nobody has asked for it."""
_SECRET = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|secret|credentials?"
    r"|(?:api|access|secret|private|auth|account)_?key)$",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"(?:^|_)(?:token|bearer)$", re.IGNORECASE)
_WORD = 20
"""Characters of a token that is a word of a text, and no key, at most."""


class Local(msgspec.Struct, frozen=True):
    """One name in a frame."""

    name: str
    kind: str
    """The value's type."""
    text: str
    """How it looks: its repr, shortened; of an array type, shape and size."""
    data: bytes = b""
    """The pickled value, if it travelled."""
    why: str = ""
    """Why it did not."""

    def value(self) -> Any:
        """The value itself.

        Raises:
            ValueError: it did not travel; says why.
            Exception: what its class raises when it is rebuilt here.
        """
        if not self.data:
            raise ValueError(f"the value of {self.name!r} stayed where it was: {self.why}")
        return pickle.loads(self.data)


class Frame(msgspec.Struct, frozen=True):
    """One frame of a failed task's stack."""

    file: str
    line: int
    name: str
    source: tuple[tuple[int, str], ...] = ()
    """(line number, text) of the lines around it."""
    locals: tuple[Local, ...] = ()
    library: bool = False
    """It is not the user's own code."""
    left_out: int = 0
    """Names that found no room."""
    given: tuple[str, ...] = ()
    """Which of the locals are the function's arguments, as it was given them."""


_encode = forgiving(msgspec.msgpack.Encoder().encode)


def pack_frames(frames: Sequence[Frame]) -> bytes:
    """*frames* as bytes."""
    return _encode(frames)


def unpack_frames(data: bytes) -> list[Frame]:
    """The frames, outermost first; none if there is nothing, or nothing that makes sense."""
    if not data:
        return []
    try:
        return msgspec.msgpack.decode(data, type=list[Frame])
    except msgspec.MsgspecError:
        return []


def unasked(name: str, text: str) -> str:
    """*text*, the value of *name*, as an error tells it, which a notebook saves."""
    plain = name.rpartition(".")[2]
    secret = _SECRET.search(plain) or (_TOKEN.search(plain) and len(text) > _WORD)
    return HIDDEN if secret and text not in {"None", "True", "False", "''", '""'} else text


def inputs(data: bytes) -> str:
    """'i=3, name='x'': what the task was given whose packed frames *data* is; '' if unknown."""
    frames = unpack_frames(data)
    if not frames:
        return ""
    texts = {one.name: unasked(one.name, one.text) for one in frames[0].locals}
    known = [(name, texts[name]) for name in frames[0].given if name in texts]
    told = [
        f"{name}={text if len(text) <= INPUT else text[: INPUT - 3] + '...'}"
        for name, text in known[:MOST_INPUTS]
    ]
    return ", ".join([*told, "..."] if len(known) > MOST_INPUTS else told)


def counted(alike: int, among: int, frames: bytes) -> str:
    """'192 of 200 tasks failed the same way, one of them with i=3'."""
    of = f"{alike:,} of {among:,}" if among > alike else f"{alike:,}"
    what = inputs(frames)
    one = f", one of them with {what}" if what else ""
    return f"{'all ' if among == alike else ''}{of} tasks failed the same way{one}"


# -- how a value looks -------------------------------------------------------------------


class _Short(reprlib.Repr):
    """Reprs of bounded length that touch little of a large value."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 6
        self.maxdict = 5
        self.maxstring = most
        self.maxlong = self.maxother = most

    def repr_instance(self, x: Any, level: int) -> str:
        """What `reprlib` does not know: arrays by their shape, the rest by its own repr."""
        shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
        if isinstance(shape, tuple) and dtype is not None and getattr(x, "size", 0) != 1:
            form = f"{type(x).__name__} {'x'.join(map(str, shape)) or '0-d'} of {dtype}"
            return form + self._few(x, shape, level)
        if isinstance(shape, tuple) and hasattr(x, "columns"):
            form = f"{type(x).__name__} of {' x '.join(map(str, shape))}"
            return form + self._few(x, shape, level)
        text = " ".join(repr(x).split())
        return text if len(text) <= self.most else f"{text[: self.most - 3]}..."

    def _few(self, x: Any, shape: tuple[Any, ...], level: int) -> str:
        """': [[1 2] [3 4]]' where *x* is small and at hand; '' for all others."""
        try:
            if str(getattr(x, "device", "cpu")) != "cpu" or not 0 < math.prod(shape) <= FEW:
                return ""
            if hasattr(x, "columns"):
                return f": {self.repr1(x.to_dict('list'), level - 1)}"
            if type(x).__module__ == "numpy" and x.nbytes <= FEW_BYTES and not x.dtype.hasobject:
                return f": {' '.join(str(x).split())}"
            return f": {self.repr1(x.tolist(), level - 1)}"
        except Exception:  # noqa: BLE001 - whatever it is, it has no values to be shown like that
            return ""


def brief(value: Any, most: int = SHORT) -> str:
    """*value* in at most about *most* characters of one line; never raises."""
    try:
        text = _Short(most).repr(value)
    except Exception as error:  # noqa: BLE001 - users' __repr__ methods raise what they like
        return f"<{type(value).__name__}; its repr failed: {type(error).__name__}>"
    text = text.replace("\n", " ")
    return text if len(text) <= 2 * most else f"{text[: 2 * most - 3]}..."
