"""The requests' own rules. Over HTTP, with authentication: tests/e2e/test_jupyter_server.py."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import Any

import pytest
from tornado import web

from nbray.jupyter import server
from nbray.jupyter.server import handlers


def test_the_server_finds_the_extension() -> None:
    (point,) = server._jupyter_server_extension_points()
    assert point["module"] == server.__name__


@pytest.mark.parametrize("cpus", [-1.0, float("nan"), float("inf"), 1e9])
def test_numbers_that_make_no_sense_are_refused(cpus: float) -> None:
    with pytest.raises(web.HTTPError, match="from 0 up"):
        handlers._checked(cpus)


def test_every_request_asks_for_authentication() -> None:
    """`authorized` refuses without a user, so both decorators are seen by what they leave."""
    for handler in (handlers.AllClusters, handlers.OneCluster, handlers.Nodes, handlers.Join):
        for method in {"get", "post", "delete"} & set(vars(handler)):
            wrapped = getattr(handler, method)
            assert wrapped.__wrapped__.__wrapped__, (handler, method)


def test_a_kernels_cluster_is_called_by_its_notebook() -> None:
    class Kernels:
        def list_kernel_ids(self) -> list[str]:
            return ["k"]

        def get_kernel(self, key: str) -> Any:
            return SimpleNamespace(provisioner=SimpleNamespace(pid=os.getpid()))

    class Sessions:
        async def list_sessions(self) -> list[dict[str, Any]]:
            return [{"name": "train.ipynb", "path": "a/train.ipynb", "kernel": {"id": "k"}}]

    office = handlers.Office(Kernels(), Sessions())
    assert asyncio.run(office.origin(os.getpid())) == "train.ipynb"
    assert "pid 1" in asyncio.run(office.origin(1))
