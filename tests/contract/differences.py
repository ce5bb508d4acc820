"""What differs from Ray on purpose: behaviours, each with its reason and its tests.

The contract leaves these tests out over the real Ray, and docs/ray-compatibility.md is made of
the same table. At most ten: what is not in here is Ray's, or a fault.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One behaviour.

    Attributes:
        behaviour: what it is about, as a heading.
        ray, nbray: what each does.
        reason: why nbray does otherwise.
        tests: 'file::test' of the contract, without parameters, that show nbray's.
    """

    behaviour: str
    ray: str
    nbray: str
    reason: str
    tests: tuple[str, ...]


DIFFERENCES: tuple[Difference, ...] = ()
