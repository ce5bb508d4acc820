"""Packs the notebook's values that a `%%remote` cell reads.

Owns the choice between small values, which travel with the task, and large
ones, which are put once and travel as references; and the memory of what was
put. Does not own which names are read (`names`) nor the running (`body`).

Rule: a value is put again exactly when its content is another one. Identity
would be cheaper, but an array changed in place is the same object, and using
the old copy would be a silent, wrong result. (The digest reads 1.8 GB/s.)
"""

from __future__ import annotations

import hashlib
import io
import linecache
import types
from collections.abc import Mapping
from typing import Any

import msgspec

from nbray import api, definitions, session
from nbray.config import INLINE_LIMIT
from nbray.engine import Engine
from nbray.jupyter.failures.errors import NotebookError
from nbray.jupyter.remote.body import PLAIN, Values
from nbray.jupyter.remote.names import CellNames
from nbray.refs import ObjectRef


class Captured(msgspec.Struct, frozen=True):
    """A cell's values, ready to travel."""

    values: Values
    large: tuple[ObjectRef[Any], ...]
    """In the order of `values.large`."""
    sources: Mapping[str, str]
    """File name to text of the cells in which captured functions were defined."""


class _Put(msgspec.Struct, frozen=True):
    digest: bytes
    ref: ObjectRef[Any]
    engine: Engine


class _Measure(definitions.Pickler):
    """Pickles to learn size and digest; references are noted, not pickled."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()
        self.buffers: list[memoryview] = []
        self.holds_reference = False
        super().__init__(self.stream, protocol=5, buffer_callback=self._keep)

    def _keep(self, buffer: Any) -> bool:
        self.buffers.append(buffer.raw())
        return False

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, ObjectRef):
            self.holds_reference = True
            return str, (obj.hex(),)
        return super().reducer_override(obj)

    @property
    def size(self) -> int:
        """Bytes, buffers included."""
        return self.stream.tell() + sum(buffer.nbytes for buffer in self.buffers)

    def digest(self) -> bytes:
        state = hashlib.sha1(self.stream.getbuffer(), usedforsecurity=False)
        for buffer in self.buffers:
            state.update(buffer)
        return state.digest()


class Capture:
    """Packs values, and remembers the large ones by the name they have in the notebook."""

    def __init__(self) -> None:
        self._puts: dict[str, _Put] = {}

    def clear(self) -> None:
        """Forget what was put (the engine has ended)."""
        self._puts.clear()

    def copies(self) -> dict[str, ObjectRef[Any]]:
        """What was put, by the variable's name."""
        return {name: one.ref for name, one in self._puts.items()}

    def pack(
        self, names: CellNames, user_ns: Mapping[str, Any], hidden: Mapping[str, Any]
    ) -> Captured:
        """The values of *names* that the notebook has; *hidden* are IPython's own.

        Raises:
            NotebookError: a value cannot be pickled; says which and why.
        """
        self._drop_unbound(user_ns)
        small: dict[str, Any] = {}
        live: dict[str, Any] = {}
        large: dict[str, ObjectRef[Any]] = {}
        sources: dict[str, str] = {}
        for name in (*names.needed, *names.maybe):
            if name not in user_ns or _is_shells(name, user_ns, hidden):
                continue
            value = user_ns[name]
            if isinstance(value, PLAIN) and not isinstance(value, (str, bytes)):
                small[name] = value
                continue
            if isinstance(value, ObjectRef):
                live[name] = value
                continue
            measure = _Measure()
            try:
                measure.dump(value)
            except Exception as error:  # noqa: BLE001 - user types raise what they like
                if name in names.maybe:
                    continue  # most likely the cell binds it before it reads it
                raise NotebookError(_cannot(name, value, error)) from None
            if measure.holds_reference:
                live[name] = value
            elif measure.size > INLINE_LIMIT:
                large[name] = self._put_once(name, value, measure)
            else:
                small[name] = value
            sources |= _sources(value)
        values = Values(
            small=definitions.dumps(small) if small else b"",
            live=live,
            large=tuple(large),
        )
        return Captured(values, tuple(large.values()), sources)

    def _put_once(self, name: str, value: Any, measure: _Measure) -> ObjectRef[Any]:
        digest = measure.digest()
        known = self._puts.get(name)
        engine = session.require()
        if known is None or known.digest != digest or known.engine is not engine:
            known = self._puts[name] = _Put(digest, api.put(value), engine)
        return known.ref

    def _drop_unbound(self, user_ns: Mapping[str, Any]) -> None:
        """Values whose names the user deleted are not kept alive."""
        for name in [name for name in self._puts if name not in user_ns]:
            del self._puts[name]


def _is_shells(name: str, user_ns: Mapping[str, Any], hidden: Mapping[str, Any]) -> bool:
    """Whether *name* is IPython's own (`open`, `exit`, `get_ipython`) and not the user's."""
    return name in hidden and hidden[name] is user_ns[name]


def _sources(value: Any) -> dict[str, str]:
    """The cell in which a captured function or class method was defined."""
    if isinstance(value, types.FunctionType):
        functions = [value]
    elif isinstance(value, type):
        functions = [one for one in vars(value).values() if isinstance(one, types.FunctionType)]
    else:
        return {}
    found = {}
    for filename in {function.__code__.co_filename for function in functions}:
        entry = linecache.cache.get(filename)
        # Cells live in linecache only, without a modification time.
        if entry is not None and len(entry) == 4 and entry[1] is None:
            found[filename] = "".join(entry[2])
    return found


def _cannot(name: str, value: Any, error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return (
        f"{name!r} ({type(value).__name__}) cannot travel to a task: {reason}. "
        f"Make it inside the cell instead."
    )
