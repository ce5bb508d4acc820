"""References of a cluster that has ended, found wherever they are in what is given.

Owns the search. Does not own what happens without a cluster (`session.require`). Rule: who asks
has a reference refused before a new cluster is started, for it can be of none that comes.
"""

from __future__ import annotations

from typing import Any

from nbray.definitions import Nowhere, Pickler
from nbray.exceptions import RaySystemError
from nbray.refs import ObjectRef


class _Search(Pickler):
    """Writes nothing; raises for a reference."""

    def reducer_override(self, obj: Any) -> Any:
        """How *obj* is pickled."""
        if type(obj) is ObjectRef:
            raise obj.ended()
        return super().reducer_override(obj)


def refuse_references(values: Any) -> None:
    """Refuse *values* in which there is a reference, where no cluster runs that it could be of.

    Raises:
        RaySystemError: there is one.
    """
    try:
        _Search(Nowhere(), protocol=5, buffer_callback=lambda _: None).dump(values)
    except RaySystemError:
        raise
    except Exception:  # noqa: BLE001 - users' __reduce__ methods raise what they like
        return  # whoever pickles it says so
