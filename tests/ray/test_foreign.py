"""Work that nbray did not submit: plain Ray's and its libraries', by cell, and stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import eventually

import nbray
from nbray import session

ray = pytest.importorskip("ray")


@pytest.fixture(autouse=True, scope="module")
def by_value() -> Iterator[None]:
    """Workers have no tests folder: plain Ray sends definitions of this module whole."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def kept() -> Any:
    """An actor of Ray's own."""
    return ray.remote(num_cpus=0)(Kept)


class Kept:
    def go(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds


def naps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def launches(seconds: float) -> float:
    return ray.get(ray.remote(num_cpus=0)(naps).remote(seconds))


@nbray.remote(num_cpus=0)
def nbrays(seconds: float) -> float:
    return naps(seconds)


@nbray.remote(num_cpus=0)
class Nbrays:
    def go(self) -> int:
        return 1


def rows(notebook: Any) -> dict[str, tuple[int, int, int, int]]:
    """What stands in the rows: done, running, failed, cancelled."""
    view = notebook.engine.cells.view(notebook.cell)
    found = view.rows if view is not None else ()
    return {one.name: (one.done, one.running, one.failed, one.cancelled) for one in found}


def test_plain_rays_tasks_and_calls_are_the_cells(notebook: Any, kept: Any) -> None:
    actor = kept.remote()
    refs = [ray.remote(num_cpus=0)(naps).remote(0.1) for _ in range(3)]
    ray.get([*refs, actor.go.remote(0.1)])
    assert eventually(lambda: rows(notebook) == {"naps": (3, 0, 0, 0), "Kept.go": (1, 0, 0, 0)})
    view = notebook.settled()
    assert (view.submitted, view.done, view.measured) == (4, 4, 4)
    assert view.work >= 0.4 and view.nodes[0].done == 4
    session.cell.set(f"{notebook.cell}, the next cell")
    ray.get(actor.go.remote(0.1))
    assert rows(notebook)["Kept.go"] == (1, 0, 0, 0)
    notebook.cell = session.cell.get()
    assert eventually(lambda: rows(notebook) == {"Kept.go": (1, 0, 0, 0)})


def test_nested_and_failed(notebook: Any) -> None:
    def fails() -> None:
        raise ValueError("on purpose")

    ref = ray.remote(num_cpus=0, max_retries=0)(fails).remote()
    assert ray.get(ray.remote(num_cpus=0)(launches).remote(0.1)) == 0.1
    with pytest.raises(ValueError, match="on purpose"):
        ray.get(ref)
    wanted = {"launches": (1, 0, 0, 0), "naps": (1, 0, 0, 0), "fails": (0, 0, 1, 0)}
    assert eventually(lambda: rows(notebook) == wanted), rows(notebook)
    assert notebook.settled().failed == 1


def test_nbrays_own_work_is_counted_once(notebook: Any) -> None:
    actor = Nbrays.remote()
    refs = [nbrays.remote(0.1) for _ in range(3)] + [actor.go.remote() for _ in range(2)]
    ray.get(ray.remote(num_cpus=0)(naps).remote(0.1))
    nbray.get(refs)
    assert eventually(lambda: rows(notebook) == {"naps": (1, 0, 0, 0)}), rows(notebook)
    time.sleep(1.5)  # what Ray's processes have to tell of the others has come
    view = notebook.settled()
    assert (view.submitted, view.done) == (6, 6)
    assert rows(notebook) == {"naps": (1, 0, 0, 0)}


def test_stop_ends_tasks_and_calls(notebook: Any, kept: Any) -> None:
    actor = kept.remote()
    refs = [ray.remote(num_cpus=0)(naps).remote(60) for _ in range(2)] + [actor.go.remote(60)]
    runs = {"naps": (0, 2, 0, 0), "Kept.go": (0, 1, 0, 0)}
    assert eventually(lambda: rows(notebook) == runs), rows(notebook)
    cells = notebook.engine.cells
    assert cells.cancel(notebook.cell, force=False) == 3
    time.sleep(0.5)
    cells.cancel(notebook.cell, force=True)
    for ref in refs:
        with pytest.raises(ray.exceptions.RayError):
            ray.get(ref, timeout=30)
    view = notebook.settled()
    assert (view.done, view.cancelled, view.failed) == (0, 3, 3)


def test_without_anything_of_others_nothing_is_asked(notebook: Any) -> None:
    nbray.shutdown()
    # (the module's engine has ended: this one is this test's own)
    nbray.init(notebook.engine.cluster.address, engine="ray", log_to_driver=False)
    engine: Any = session.require()
    nbray.get([nbrays.remote(0) for _ in range(3)])
    assert engine.cells.foreign._thread is None
    ray.get(ray.remote(num_cpus=0)(naps).remote(0))
    assert engine.cells.foreign._thread is not None


def test_ray_is_left_as_it_was() -> None:
    from ray.actor import ActorClass, ActorMethod
    from ray.remote_function import RemoteFunction

    nbray.shutdown()
    for kind in (RemoteFunction, ActorClass, ActorMethod):
        assert "submissions" not in kind._remote.__code__.co_filename
