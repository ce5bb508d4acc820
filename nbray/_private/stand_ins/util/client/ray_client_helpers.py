"""`ray.util.client.ray_client_helpers`: a client and what it connects to, for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from nbray._private.stand_ins.util.client import ray
from nbray.api import init, shutdown


@contextlib.contextmanager
def ray_start_client_server(
    metadata: Any = None, ray_connect_handler: Callable[[], Any] | None = None, **kwargs: Any
) -> Iterator[Any]:
    """The API, connected: by *ray_connect_handler*, or else to a cluster that `init` starts.

    What was connected is shut down at the end. What else Ray takes has no effect.
    """
    if ray_connect_handler is not None:
        ray_connect_handler()
    else:
        init()
    try:
        yield ray
    finally:
        shutdown()
