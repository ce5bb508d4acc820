"""`ray.autoscaler.sdk`: what programs ask of an autoscaler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbray import session

__all__ = ["request_resources"]


def request_resources(
    num_cpus: int | None = None,
    bundles: Sequence[Mapping[str, float]] | None = None,
    bundle_label_selectors: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """Ask for nodes with room for all this. Without an autoscaler it changes nothing, as in Ray.

    Raises:
        TypeError: a value of the wrong kind.
    """
    if num_cpus is not None and not isinstance(num_cpus, int):
        raise TypeError("num_cpus should be of type int.")
    if bundles is not None and not isinstance(bundles, (list, tuple)):
        raise TypeError("bundles should be of type list.")
    session.require()
