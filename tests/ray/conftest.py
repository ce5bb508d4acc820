"""Real Ray clusters for tests of the engine over Ray, which run where Ray is: `make test-ray`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ray_clusters import head

pytest.importorskip("ray", reason="Ray is not installed here: make test-ray has it")


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster that these tests share."""
    with head() as address:
        yield address


@pytest.fixture
def joined(cluster: str) -> Iterator[str]:
    """The same, with nbray a driver of it."""
    import nbray

    nbray.shutdown()
    nbray.init(cluster, engine="ray", namespace="tests", log_to_driver=False)
    yield cluster
    nbray.shutdown()
