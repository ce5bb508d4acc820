"""Ray's `ray.client(address)`: a driver of a cluster that runs, made step by step.

Owns `ClientBuilder` and what its `connect` returns. Does not own attaching (`nbray.api.init`). In
Ray a client speaks to a process that is a driver in its stead; every driver of nbray's speaks to
its cluster itself, so that a client is a driver, and its port is the cluster's one port.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import warnings
from typing import Any, Self

from nbray import api, session
from nbray.clusters.local import Local
from nbray.version import __version__

__all__ = ["ClientBuilder", "ClientContext", "client"]

TWICE = (
    "Ray Client is already connected. Maybe you called "
    'ray.init("ray://<address>") twice by accident?'
)


class ClientContext:
    """A connection: of which cluster, and how it ends. As a context manager it ends with it.

    Attributes:
        dashboard_url: the link to the cluster's dashboard (None: it has none here).
        python_version, ray_version, ray_commit: of this process, and so of the cluster.
    """

    def __init__(self, dashboard_url: str | None) -> None:
        self.dashboard_url = dashboard_url
        self.python_version = platform.python_version()
        self.ray_version = __version__
        self.ray_commit = ""
        self.protocol_version = ""
        self._num_clients = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """Leave the cluster. One that `connect` started goes on, for it is this process's own."""
        began = session.started_with()
        if began is not None and began.address not in {"", "local"}:
            api.shutdown()


class ClientBuilder:
    """What a connection is to be like; `connect` makes it.

    Args:
        address: HOST:PORT of the cluster's head, 'local' for a new cluster, None for the one that
            runs on this machine, or a new one.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address
        self._namespace: str | None = None
        self._environment: Any = None
        self._others: dict[str, Any] = {}
        self._deprecation_warn_enabled = True

    def env(self, env: dict[str, Any]) -> Self:
        """The environment of the session's tasks and actors (see `nbray.runtime_env`)."""
        self._environment = env
        return self

    def namespace(self, namespace: str) -> Self:
        """Where names of actors are looked up."""
        self._namespace = namespace
        return self

    def _init_args(self, **kwargs: Any) -> Self:
        """Arguments of `nbray.init`; those that are None are left out."""
        given = {name: value for name, value in kwargs.items() if value is not None}
        self._namespace = given.pop("namespace", self._namespace)
        self._environment = given.pop("runtime_env", self._environment)
        self._others.update(given)
        return self

    def connect(self) -> ClientContext:
        """Connect.

        Raises:
            RuntimeError: this process is connected already.
            RaySystemError: the cluster cannot be reached; says why.

        Warns:
            DeprecationWarning: `nbray.init(address)` is what to write, as in Ray.
        """
        if api.is_initialized():
            raise RuntimeError(TWICE)
        if self._deprecation_warn_enabled:
            warnings.warn(
                "Starting a connection through `ray.client` will be deprecated in favor of "
                f"`ray.init`. You can replace your call with ray.init({self.address or ''!r})",
                DeprecationWarning,
                stacklevel=2,
            )
        namespace = self._namespace or os.environ.get("RAY_NAMESPACE")
        environment = self._environment
        if environment is None and os.environ.get("RAY_RUNTIME_ENV"):
            environment = json.loads(os.environ["RAY_RUNTIME_ENV"])
        address = self.address
        if address is None and Local().records():
            address = "auto"
        made = api.init(
            address=address, namespace=namespace, runtime_env=environment, **self._others
        )
        return ClientContext(made.dashboard_url)


def client(
    address: str | None = None, _deprecation_warn_enabled: bool = True
) -> ClientBuilder:
    """A builder of a connection: `nbray.client("host:port").namespace("mine").connect()`.

    Args:
        address: as `ClientBuilder` has it ('ray://' may stand before it; None: what
            NBRAY_ADDRESS or RAY_ADDRESS say first), or 'module://rest': then
            `module.ClientBuilder(rest)`.

    Raises:
        ValueError: the address is a web page's.
        RuntimeError: there is no such module, or it has no `ClientBuilder`.
    """
    if address is None:
        address = os.environ.get("NBRAY_ADDRESS") or os.environ.get("RAY_ADDRESS") or None
    scheme, separated, inner = (address or "").partition("://")
    if scheme in {"http", "https"} and separated:
        raise ValueError(
            f"Invalid Ray address: {address!r}. It looks like an HTTP address: give the head's, "
            "HOST:PORT"
        )
    if not separated or scheme in {"ray", "nbray"}:
        found = ClientBuilder(inner if separated else address)
    else:
        try:
            module = importlib.import_module(scheme)
        except Exception as error:
            raise RuntimeError(
                f"Module: {scheme} does not exist.\nThis module was parsed from Address: {address}"
            ) from error
        if not hasattr(module, "ClientBuilder"):
            raise RuntimeError(f"Module: {scheme} does not have ClientBuilder.")
        found = module.ClientBuilder(inner)
    found._deprecation_warn_enabled = _deprecation_warn_enabled
    return found
