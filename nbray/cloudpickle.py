"""Ray's `ray.cloudpickle`: cloudpickle, which knows references and actors' handles as well.

Owns pickling by users' own hand, for a file, say. Does not own how values travel
(`nbray.wire.pickling`). Rule: what a reference stands for stays as long as this process's
cluster, once it was pickled here, for nobody knows how many copies there are.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import cloudpickle as _plain

from nbray import definitions, session
from nbray.refs import ObjectRef

Pickler = CloudPickler = definitions.Pickler
load = pickle.load
loads = pickle.loads
register_pickle_by_value = _plain.register_pickle_by_value
unregister_pickle_by_value = _plain.unregister_pickle_by_value
list_registry_pickle_by_value = _plain.list_registry_pickle_by_value
DEFAULT_PROTOCOL = _plain.DEFAULT_PROTOCOL
__version__ = _plain.__version__

__all__ = [
    "DEFAULT_PROTOCOL", "CloudPickler", "Pickler", "dump", "dumps", "list_registry_pickle_by_value",
    "load", "loads", "register_pickle_by_value", "unregister_pickle_by_value",
]  # fmt: skip

_kept: dict[tuple[int, int], ObjectRef[Any]] = {}
"""References that were pickled here, of the cluster in use."""


class _Keeping(definitions.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is ObjectRef:
            _forget_others(obj._engine)
            _kept[obj.key] = obj
            return _restore, obj.key
        return super().reducer_override(obj)


def dump(obj: Any, file: Any, protocol: int | None = None, buffer_callback: Any = None) -> None:
    """Pickle *obj* into *file*; raises what its parts raise when they are pickled."""
    wanted = DEFAULT_PROTOCOL if protocol is None else protocol
    _Keeping(file, protocol=wanted, buffer_callback=buffer_callback).dump(obj)


def dumps(obj: Any, protocol: int | None = None, buffer_callback: Any = None) -> bytes:
    """*obj* pickled; raises what its parts raise when they are pickled."""
    with io.BytesIO() as file:
        dump(obj, file, protocol, buffer_callback)
        return file.getvalue()


def _forget_others(engine: Any) -> None:
    for key in [key for key, ref in _kept.items() if ref._engine is not engine]:
        del _kept[key]


def _restore(owner: int, seq: int) -> ObjectRef[Any]:
    """A reference again: what a pickled one calls.

    Raises:
        TypeError: it was pickled in another process, and this one's engine cannot ask there.
    """
    found = _kept.get((owner, seq))
    if found is not None:
        return found
    memory = getattr(session.require(), "memory", None)
    if memory is None:
        raise TypeError("this reference was pickled in another process, and cannot be read here")
    restored: ObjectRef[Any] = memory.restore(owner, seq)
    return restored
