"""The engine over a Ray cluster: the same notebook where work has outgrown a few machines.

`init(engine="ray", address=...)` starts Ray on this machine, or joins a cluster as an ordinary
driver. Importing this package imports nothing of Ray; `start` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbray.config import InitConfig
from nbray.engines.ray.abilities import capabilities
from nbray.exceptions import RaySystemError

if TYPE_CHECKING:
    from nbray.engines.ray.engine import RayEngine

__all__ = ["capabilities", "start"]

OLDEST = (2, 40)
"""Ray's release from which on this works."""


def start(config: InitConfig) -> RayEngine:
    """See `nbray.engines.ray.starting.start`.

    Raises:
        RaySystemError: Ray is not installed, or too old; says what to do.
    """
    try:
        import ray
    except ImportError:
        raise RaySystemError(
            "engine='ray' needs Ray, which is not installed here: pip install 'nbray[ray]'"
        ) from None
    version = tuple(int(part) for part in ray.__version__.split(".")[:2] if part.isdigit())
    if version < OLDEST:
        raise RaySystemError(
            f"engine='ray' needs Ray {OLDEST[0]}.{OLDEST[1]} or later, and {ray.__version__} is "
            "installed here: pip install -U 'nbray[ray]'"
        )
    from nbray.engines.ray.starting import start as begin

    return begin(config)
