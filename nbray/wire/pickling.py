"""Values as bytes: one contiguous layout, the same in messages and in the store.

Owns the layout, what is pickled how, and how references inside values are
noticed and rebuilt. Does not own errors as results (`failures`), functions and
classes (`functions`), nor the
search for what cannot be pickled (`pickling_errors`), nor where bytes travel.

Rule: the first byte decides. 0x80 is a bare pickle stream; `MAGIC` is a header
(count, length of the stream, length of each buffer), the stream, then each
buffer at a multiple of 64 bytes. Buffers are never copied by `pack`: they are
views of the caller's memory, to be written or joined before it may change.
"""

from __future__ import annotations

import gc
import io
import pickle
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nbray import definitions
from nbray.config import INLINE_LIMIT
from nbray.exceptions import RaySystemError
from nbray.refs import ObjectRef
from nbray.text import safe
from nbray.wire import pickling_errors
from nbray.wire.failures import pack_error, unpack_error, unreadable

__all__ = [
    "Packed",
    "pack",
    "pack_call",
    "pack_error",
    "unpack",
    "unpack_error",
    "unpack_many",
    "unpack_parts",
]

if TYPE_CHECKING:
    from nbray.engine import Engine

MAGIC = 0xB5
ALIGN = 64
_HEADER = struct.Struct("<B3xIQ")
_PROTOCOL = 5
_SMALL = 64
"""Items up to which a container's types are looked at before it is pickled."""
_ATOMS = frozenset({int, float, str, bytes, bool, complex, type(None)})
Refs = tuple[tuple[int, int], ...]
_dumps = pickle.dumps
_loads = pickle.loads


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A pickled value, not yet in one piece.

    Attributes:
        stream: the pickle stream.
        buffers: flat byte views of what is kept out of the stream (arrays' memory).
        refs: (owner, seq) of every ObjectRef inside, in the order met.
        size: bytes of the contiguous form.
    """

    stream: bytes
    buffers: list[memoryview]
    refs: Refs
    size: int

    def join(self) -> bytes:
        """The contiguous form; no copy when there are no buffers."""
        if not self.buffers:
            return self.stream
        parts: list[bytes | memoryview] = [self._head(), self.stream]
        position = _head_size(len(self.buffers)) + len(self.stream)
        for buffer in self.buffers:
            gap = -position % ALIGN
            parts.append(bytes(gap))
            parts.append(buffer)
            position += gap + buffer.nbytes
        return b"".join(parts)

    def pieces(self) -> list[tuple[int, bytes | memoryview]]:
        """The contiguous form without copying: what stands at which place, gaps left out."""
        if not self.buffers:
            return [(0, self.stream)]
        head = self._head()
        position = len(head) + len(self.stream)
        parts: list[tuple[int, bytes | memoryview]] = [(0, head), (len(head), self.stream)]
        for buffer in self.buffers:
            position += -position % ALIGN
            parts.append((position, buffer))
            position += buffer.nbytes
        return parts

    def _head(self) -> bytes:
        lengths = [buffer.nbytes for buffer in self.buffers]
        count = len(lengths)
        return _HEADER.pack(MAGIC, count, len(self.stream)) + struct.pack(f"<{count}Q", *lengths)


_NO_CALL = Packed(b"", [], (), 0)
"""What a call without arguments sends."""


def _head_size(count: int) -> int:
    return _HEADER.size + 8 * count


def _assemble(stream: bytes, pickled: list[pickle.PickleBuffer], refs: Refs = ()) -> Packed:
    if not pickled:
        return Packed(stream, [], refs, len(stream))
    buffers = [buffer.raw() for buffer in pickled]
    size = _head_size(len(buffers)) + len(stream)
    for buffer in buffers:
        size += -size % ALIGN + buffer.nbytes
    return Packed(stream, buffers, refs, size)


# Pickling


class _Pickler(definitions.Pickler):
    """cloudpickle, which also notes references and keeps every array out of the stream."""

    def __init__(
        self, file: io.BytesIO, buffers: list[pickle.PickleBuffer], refs: list[tuple[int, int]]
    ) -> None:
        super().__init__(file, protocol=_PROTOCOL, buffer_callback=buffers.append)
        self._refs = refs
        self._engine: Engine | None = None
        """That of the last reference."""
        numpy = sys.modules.get("numpy")
        # A half-imported numpy (another thread is importing it) has no ndarray yet.
        self._ndarray = getattr(numpy, "ndarray", None)

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is ObjectRef:
            if obj._engine is not self._engine:
                self._engine = obj._engine
                if self._engine is not None and self._engine.ended:
                    raise obj.ended()
            key = (obj.owner, obj.seq)
            self._refs.append(key)
            return _restore_ref, key
        if kind is self._ndarray and not _is_plain_array(obj) and not obj.dtype.hasobject:
            # numpy alone would put the data into the stream, and it came back writable.
            flat = obj if _is_flat(obj) else obj.copy(order="C")
            if flat.dtype.kind in "mM":  # dates know no buffer protocol
                return _view, (flat.view("i8"), flat.dtype)
            return flat.__reduce_ex__(_PROTOCOL)
        return super().reducer_override(obj)


class _OneBuffer:
    """Pickles as `kind(buffer)`: the stream of a large bytes object, made once."""

    def __init__(self, kind: type, value: bytes | bytearray) -> None:
        self.parts = (kind, (pickle.PickleBuffer(value),))

    def __reduce__(self) -> Any:
        return self.parts


_BYTES_STREAMS = {
    kind: _dumps(_OneBuffer(kind, kind()), _PROTOCOL, buffer_callback=lambda _: None)
    for kind in (bytes, bytearray)
}


def _is_flat(array: Any) -> bool:
    flags = array.flags
    return bool(flags.c_contiguous or flags.f_contiguous)


def _is_plain_array(array: Any) -> bool:
    """Whether plain C pickle keeps this array's data out of the stream."""
    dtype = array.dtype
    return _is_flat(array) and not dtype.hasobject and dtype.kind not in "mM"


def _view(array: Any, dtype: Any) -> Any:
    """Dates from their integers, without a copy."""
    return array.view(dtype)


def _is_simple(values: Iterable[Any], kinds: Iterable[type]) -> bool:
    """Whether plain C pickle does for *values*: atoms and flat arrays without objects."""
    rest = set(kinds) - _ATOMS
    if not rest:
        return True
    ndarray = getattr(sys.modules.get("numpy"), "ndarray", None)
    return rest == {ndarray} and all(
        _is_plain_array(value) for value in values if type(value) is ndarray
    )


def _pack_simple(value: Any) -> Packed:
    buffers: list[pickle.PickleBuffer] = []
    stream = _dumps(value, _PROTOCOL, buffer_callback=buffers.append)
    return _assemble(stream, buffers)


def _pack_any(value: Any) -> Packed:
    """The general way. Raises whatever pickling raises."""
    file = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    refs: list[tuple[int, int]] = []
    _Pickler(file, buffers, refs).dump(value)
    return _assemble(file.getvalue(), buffers, tuple(refs))


def pack(value: Any, what: str = "value") -> Packed:
    """Pickle any value: plain data fast, everything else as cloudpickle does.

    Args:
        value: classes and functions of `__main__` travel by value, others by name.
        what: names the value in errors, as in "the result of f".

    Raises:
        TypeError: *value* cannot be pickled; says which part, and what to do next.
    """
    kind = type(value)
    if kind in _ATOMS:
        if kind is not bytes or len(value) < INLINE_LIMIT:
            stream = _dumps(value, _PROTOCOL)
            return Packed(stream, [], (), len(stream))
        return _assemble(_BYTES_STREAMS[bytes], [pickle.PickleBuffer(value)])
    if kind is tuple or kind is list:
        items = value
        plain = len(value) <= _SMALL
    elif kind is dict:
        items = value.values()
        plain = len(value) <= _SMALL and _ATOMS.issuperset(map(type, value))
    elif kind is bytearray and len(value) >= INLINE_LIMIT:
        return _assemble(_BYTES_STREAMS[bytearray], [pickle.PickleBuffer(value)])
    else:
        items = (value,)
        plain = True
    if plain and _ATOMS.issuperset(map(type, items)):
        stream = _dumps(value, _PROTOCOL)
        return Packed(stream, [], (), len(stream))
    if plain and _is_simple(items, map(type, items)):
        return _pack_simple(value)
    try:
        return _pack_any(value)
    except (MemoryError, RaySystemError):
        raise
    except Exception as error:  # users' __reduce__ methods raise what they like
        raise pickling_errors.unpicklable(value, what, error) from error


def pack_call(
    args: Sequence[Any], kwargs: dict[str, Any], name: str
) -> tuple[Packed, list[tuple[int | str, ObjectRef[Any]]]]:
    """Pickle a call's arguments as one value, `(args, kwargs)`.

    A reference that is an argument itself is replaced by None and returned with
    its position or keyword, for the runtime to resolve; references inside
    containers stay there and are in `Packed.refs`.

    Raises:
        TypeError: an argument cannot be pickled; names it.
    """
    refs: list[tuple[int | str, ObjectRef[Any]]] = []
    if not args and not kwargs:
        return _NO_CALL, refs
    kinds = set(map(type, args))
    if kwargs:
        kinds.update(map(type, kwargs.values()))
    if ObjectRef in kinds:
        args = [_take(refs, place, value) for place, value in enumerate(args)]
        if kwargs:
            kwargs = {key: _take(refs, key, value) for key, value in kwargs.items()}
            for place, _ in refs:
                if isinstance(place, str) and safe(place) != place:
                    raise TypeError(
                        f"argument {place!r} of {name}: a reference cannot be passed under a name "
                        "that is not text; pass it within a dictionary"
                    )
        kinds.discard(ObjectRef)
    call = (tuple(args), kwargs)
    if _ATOMS.issuperset(kinds):
        stream = _dumps(call, _PROTOCOL)
        return Packed(stream, [], (), len(stream)), refs
    if _is_simple((*args, *kwargs.values()), kinds):
        return _pack_simple(call), refs
    try:
        return _pack_any(call), refs
    except (MemoryError, RaySystemError):
        raise
    except Exception:  # users' __reduce__ methods raise what they like
        # Pickled one by one, the guilty argument names itself.
        for place, value in enumerate(args):
            pack(value, f"argument {place + 1} of {name}")
        for key, value in kwargs.items():
            pack(value, f"argument {key!r} of {name}")
        raise


def _take(refs: list[tuple[int | str, ObjectRef[Any]]], place: int | str, value: Any) -> Any:
    if type(value) is ObjectRef:
        refs.append((place, value))
        return None
    return value


# Unpickling


class _Restoring(threading.local):
    """How the innermost running `unpack` of this thread makes references."""

    restore: Callable[[int, int], ObjectRef[Any]] | None = None


_restoring = _Restoring()


def _restore_ref(owner: int, seq: int) -> ObjectRef[Any]:
    """What a pickled reference calls."""
    restore = _restoring.restore
    if restore is None:
        raise TypeError(
            "these bytes hold an nbray ObjectRef, which only nbray itself can unpickle: "
            "get the value from a task or with nbray.get"
        )
    return restore(owner, seq)


class _Unpickler(pickle.Unpickler):
    """Calls *restore* itself for each reference, instead of `_restore_ref`, which calls it."""

    def __init__(
        self, stream: Any, buffers: Iterable[Any], restore: Callable[[int, int], ObjectRef[Any]]
    ) -> None:
        super().__init__(stream, buffers=buffers)
        self._restore = restore

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        return self._restore if found is _restore_ref else found


def unpack_many(data: bytes | memoryview, restore: Callable[[int, int], ObjectRef[Any]]) -> Any:
    """As `unpack`, for a value with many references inside: half the time for each.

    No garbage is looked for meanwhile: nothing of what is made can be garbage yet.
    """
    stream, buffers = (data, ()) if data[0] == 0x80 else _parts(data)
    collects = gc.isenabled()
    gc.disable()
    try:
        return _Unpickler(io.BytesIO(stream), buffers, restore).load()
    except Exception as error:  # users' classes raise what they like when rebuilt
        raise unreadable(error) from error
    finally:
        if collects:
            gc.enable()


def unpack(data: bytes | memoryview, restore: Callable[[int, int], ObjectRef[Any]]) -> Any:
    """The value again. Its arrays are read-only views of *data* and keep it alive.

    A small memoryview is copied first: an array of ten numbers should neither
    hold a whole message nor be unaligned because of its place in it.

    Args:
        data: the contiguous form, exactly; b"" is a call without arguments.
        restore: called with (owner, seq) for each reference inside.

    Raises:
        ValueError: *data* is not such a form.
        RaySystemError: the value's own classes raised what is its `client_exc`, when they were
            rebuilt.
    """
    if not data:
        return (), {}
    stream, buffers = (data, ()) if data[0] == 0x80 else _parts(data)
    before = _restoring.restore
    _restoring.restore = restore
    try:
        return _loads(stream, buffers=buffers)
    except Exception as error:  # users' classes raise what they like when rebuilt
        raise unreadable(error) from error
    finally:
        _restoring.restore = before


def unpack_parts(
    stream: bytes | memoryview, buffers: Sequence[Any],
    restore: Callable[[int, int], ObjectRef[Any]],
) -> Any:  # fmt: skip
    """As `unpack`, for a value whose stream and buffers came apart; raises as it does."""
    before = _restoring.restore
    _restoring.restore = restore
    try:
        return _loads(stream, buffers=buffers)
    except Exception as error:  # users' classes raise what they like when rebuilt
        raise unreadable(error) from error
    finally:
        _restoring.restore = before


def _parts(data: bytes | memoryview) -> tuple[memoryview, list[memoryview]]:
    """The pickle stream and the buffers of a value that has some."""
    if isinstance(data, memoryview) and data.nbytes <= INLINE_LIMIT:
        data = bytes(data)
    view = memoryview(data).toreadonly()
    try:
        magic, count, length = _HEADER.unpack_from(view)
        if magic != MAGIC:
            raise ValueError(f"a pickled value cannot begin with byte {magic:#04x}")
        lengths = struct.unpack_from(f"<{count}Q", view, _HEADER.size)
    except struct.error as error:
        raise ValueError("a pickled value ends inside its header") from error
    start = _head_size(count)
    position = start + length
    stream = view[start:position]
    buffers = []
    for nbytes in lengths:
        position += -position % ALIGN
        buffers.append(view[position : position + nbytes])
        position += nbytes
    if position > view.nbytes:
        raise ValueError(f"a pickled value needs {position} bytes but has {view.nbytes}")
    return stream, buffers
