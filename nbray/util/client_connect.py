"""Ray's `ray.util.connect` and `disconnect`: older forms of `init(address)` and `shutdown()`."""

from __future__ import annotations

from typing import Any

from nbray import api
from nbray.client_builder import TWICE, ClientBuilder, ClientContext

__all__ = ["connect", "disconnect"]


def connect(
    conn_str: str,
    secure: bool = False,  # noqa: ARG001 - every connection between machines is encrypted
    metadata: Any = None,  # noqa: ARG001 - no proxy reads it
    connection_retries: int = 3,  # noqa: ARG001 - `init` tries for as long as it says
    job_config: Any = None,  # noqa: ARG001 - `ray_init_kwargs` says what a job has
    namespace: str | None = None,
    *,
    ignore_version: bool = False,  # noqa: ARG001 - who does not fit is refused, and told why
    _credentials: Any = None,
    ray_init_kwargs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Attach to the cluster whose head is at *conn_str*, HOST:PORT.

    Args:
        ray_init_kwargs: further arguments of `nbray.init`.

    Returns:
        `num_clients`, `python_version`, `ray_version` and `ray_commit`.

    Raises:
        RuntimeError: this process is connected already (without `ignore_reinit_error`).
        RaySystemError: the cluster cannot be reached; says why.
    """
    given = dict(ray_init_kwargs or {})
    if api.is_initialized():
        if not given.get("ignore_reinit_error"):
            raise RuntimeError(TWICE)
        return _about()
    builder = ClientBuilder(conn_str.removeprefix("ray://"))
    builder._deprecation_warn_enabled = False
    builder._init_args(**{"namespace": namespace, **given})
    builder.connect()
    return _about()


def _about() -> dict[str, Any]:
    made = ClientContext(None)
    return {
        "num_clients": 1, "python_version": made.python_version,
        "ray_version": made.ray_version, "ray_commit": made.ray_commit,
    }  # fmt: skip


def disconnect() -> None:
    """Leave the cluster. Idempotent."""
    api.shutdown()
