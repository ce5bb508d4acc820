"""What travels with each call: who calls what, on whose behalf, and how its end is to be told.

Owns the head of a call and how arguments are put behind it. Ray carries a head as plain bytes,
which costs it least. Rule: arguments without arrays and references ride in the head, others in a
box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from nbray.engines.ray.boxes import Box, received
from nbray.engines.ray.references import theirs
from nbray.exceptions import RaySystemError, on_behalf
from nbray.options import RetryOn
from nbray.wire.pickling import pack, pack_call, unpack


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Of one call."""

    name: str
    """What errors and output call it."""
    returns: int
    """See `TaskOptions.num_returns`."""
    cell: str = ""
    namespace: str = ""
    method: str = ""
    retry: bool | bytes = False
    """Errors that are to be tried again: all, or instances of the classes that were packed."""
    counted: bool = True
    modules: bytes = b""
    """Digest of the modules that it is to import (b'': none)."""
    call: bytes = b""
    """Its packed arguments, where they are not in a box."""
    boxed: bool = False
    places: tuple[int | str, ...] = ()
    """Which arguments are the values of references."""
    box: str = ""
    """The mailbox of the driver on whose behalf it runs."""
    number: int = 0
    """Of the call: no other has it."""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Head).decode


def retrying(on: RetryOn) -> bool | bytes:
    """Which errors are to be tried again, as a head says it."""
    return on if isinstance(on, bool) else pack(on, "retry_exceptions").join()


def wants_retry(retry: bool | bytes, error: BaseException) -> bool:
    """Whether *error* is to be tried again."""
    if isinstance(retry, bool):
        return retry
    return isinstance(error, unpack(retry, _no_reference))


def _no_reference(_owner: int, _seq: int) -> Any:
    raise TypeError("a class has no references")


def behind(
    args: Sequence[Any], kwargs: dict[str, Any], name: str
) -> tuple[dict[str, Any], list[Any]]:
    """(what the head says of the arguments, what Ray is given behind it).

    Raises:
        TypeError: an argument cannot be pickled; names it.
    """
    if not args and not kwargs:
        return {}, []
    packed, deps = pack_call(args, kwargs, name)
    rest = [theirs(ref) for _, ref in deps]
    said: dict[str, Any] = {"places": tuple(place for place, _ in deps)} if deps else {}
    if packed.buffers or packed.refs:
        return {**said, "boxed": True}, [Box(packed), *rest]
    return {**said, "call": packed.stream}, rest


def together(head: Head, rest: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call, in the process that runs it.

    Raises:
        RaySystemError: one could not be put together again.
    """
    if head.boxed:
        found, rest = rest[0], rest[1:]
    else:
        try:
            found = unpack(head.call, _no_reference)
        except RaySystemError as error:
            if isinstance(error.client_exc, Exception):
                on_behalf(error)
            raise
    args, kwargs = list(found[0]), found[1]
    for place, value in zip(head.places, map(received, rest), strict=True):
        if isinstance(place, int):
            args[place] = value
        else:
            kwargs[place] = value
    return args, kwargs

