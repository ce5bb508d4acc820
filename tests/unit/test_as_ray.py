"""The name `ray`: what is found under it, what is said of the rest, and taking it back."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import pickle
import sys
import typing
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

import nbray
from nbray import as_ray
from nbray.hosting.imports import Imports
from nbray.hosting.modules import Bundle, Modules, Packed, gives_ray, read, write


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is imported, and from where, is afterwards as it was before."""
    modules = dict(sys.modules)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    as_ray.remove()
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.modules.update(modules)


@pytest.fixture
def ray(before: None) -> Any:
    as_ray.install()
    return importlib.import_module("ray")


def test_it_is_a_module_with_rays_version_and_nbrays_names(ray: Any) -> None:
    assert ray.__version__ == importlib.metadata.version("ray") == as_ray.VERSION
    assert (type(ray), ray.__name__, ray.__spec__.name) == (ModuleType, "ray", "ray")
    assert ray.__file__ == nbray.__file__
    assert list(ray.__path__) == list(nbray.__path__)
    assert ray.get is nbray.get
    assert ray.remote is nbray.remote
    assert {"get", "init", "remote"} <= set(dir(ray))
    assert importlib.reload(ray) is ray
    assert inspect.getmodule(ray.get) is sys.modules["nbray.api"]


@pytest.mark.parametrize("name", ["actor", "exceptions", "util", "util.queue", "_private.services"])
def test_submodules_are_nbrays_own(ray: Any, name: str) -> None:
    mine = importlib.import_module(f"nbray.{name}")
    spec = mine.__spec__
    assert importlib.import_module(f"ray.{name}") is mine
    assert mine.__spec__ is spec
    assert sys.modules[f"ray.{name}"] is mine


def test_classes_pickle_under_either_name(ray: Any) -> None:
    here = pickle.dumps(ray.exceptions.GetTimeoutError("late"), 0)
    there = here.replace(b"nbray.exceptions", b"ray.exceptions")
    assert here != there
    assert type(pickle.loads(there)) is type(pickle.loads(here)) is nbray.exceptions.GetTimeoutError
    assert cloudpickle.loads(cloudpickle.dumps(ray)) is ray
    space: dict[str, Any] = {"ray": ray}
    exec("def f(x: 'ray.ObjectRef'): return ray.get(x)", space)
    assert typing.get_type_hints(space["f"]) == {"x": nbray.ObjectRef}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("import ray.train", ModuleNotFoundError),
        ("import ray.tune.schedulers", ModuleNotFoundError),
        ("from ray import train", ImportError),
        ("from ray.train import Trainer", ModuleNotFoundError),
        ("ray.train", AttributeError),
        ("import ray.session", ModuleNotFoundError),
        ("ray.session", AttributeError),
        ("import ray.util.nothing_like_it", ModuleNotFoundError),
    ],
)
def test_what_is_not_there_says_so_by_name(ray: Any, text: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"nbray has no ray\.\w+.*install the real Ray") as caught:
        exec(text, {"ray": ray})
    assert type(caught.value) is kind


def test_who_looks_first_is_told(ray: Any) -> None:
    assert importlib.util.find_spec("ray") is not None
    assert importlib.util.find_spec("ray.util.queue") is not None
    assert importlib.util.find_spec("ray.tune") is None
    assert not hasattr(ray, "tune")


def test_ray_data_can_be_imported_but_not_used(ray: Any) -> None:
    data = importlib.import_module("ray.data")
    assert ray.data is data
    assert not isinstance(3, data.Dataset)
    with pytest.raises(NotImplementedError, match="nbray has no ray.data.from_pandas_refs"):
        data.from_pandas_refs([])
    with pytest.raises(NotImplementedError, match=r"Ray Data.*ray\[data\]"):
        data.Dataset()


def test_private_names(ray: Any) -> None:
    assert ray.ObjectID is ray.ObjectRef is ray._raylet.ObjectRef
    assert ray.worker is ray._private.worker
    assert ray.worker.global_worker.mode is None
    assert not ray.worker.global_worker.connected
    assert ray._private.services.get_node_ip_address("127.0.0.1:1") == "127.0.0.1"
    node = ray.NodeID.from_random()
    assert node == ray.NodeID.from_hex(node.hex()) == pickle.loads(pickle.dumps(node))
    assert node != ray.WorkerID(node.binary())
    assert ray.NodeID is ray._raylet.NodeID is nbray.NodeID
    assert (ray.JobID.nil().is_nil(), node.is_nil()) == (True, False)
    assert ray._private.worker.BaseContext is sys.modules["nbray.context"].ClusterContext
    assert importlib.import_module("ray.types").ObjectRef is ray.ObjectRef
    assert importlib.import_module("ray.remote_function").RemoteFunction is type(ray.remote(len))
    assert importlib.import_module("ray.util.client").ray is nbray
    with pytest.raises(AttributeError, match=r"ray\._private\.nothing"):
        _ = ray._private.nothing


def test_one_that_is_imported_is_replaced_with_a_word(before: None) -> None:
    real = ModuleType("ray")
    real.__version__ = "2.9.1"  # type: ignore[attr-defined]
    sys.modules["ray"] = real
    sys.modules["ray.util"] = ModuleType("ray.util")
    with pytest.warns(RuntimeWarning, match=r"ray 2\.9\.1 .* is imported here already"):
        as_ray.install()
    assert importlib.import_module("ray.util") is nbray.util
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_ray.install()  # it is there: nothing is said again
        as_ray.remove()
        sys.modules["ray"] = nbray  # nobody's: a program has helped itself
        as_ray.install()
    assert importlib.import_module("ray") is not nbray


def test_it_can_be_taken_back(before: None) -> None:
    path = list(sys.path)
    as_ray.install()
    assert importlib.import_module("ray.util") is nbray.util
    as_ray.remove()
    assert not gives_ray()
    assert sys.path == path
    assert not {name for name in sys.modules if name.partition(".")[0] == "ray"}
    assert "nbray.util" in sys.modules


def test_it_travels_with_the_modules(before: None, tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "ray.py").write_text("mine = 1")
    (tmp_path / "beside.py").write_text("import ray")
    monkeypatch.chdir(tmp_path)
    sys.path.insert(0, str(tmp_path))
    modules = Modules()
    plain = modules.packed("")
    assert not read(plain.data).as_ray
    assert {"ray", "beside"} <= read(plain.data).modules.keys()
    nbray.install_as_ray()
    modules.changed()
    packed = modules.packed("")
    assert packed.digest != plain.digest
    assert read(packed.data).as_ray
    assert "ray" not in read(packed.data).modules
    as_ray.remove()
    worker = Imports()
    worker.use(packed)
    assert importlib.import_module("beside").ray.get is nbray.get
    worker.use(Packed(b"other", write(Bundle())))
    assert not gives_ray()


def test_the_microbenchmarks_rows_are_chosen_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    helpers = importlib.import_module("nbray._private.ray_microbenchmark_helpers")
    monkeypatch.setattr(helpers, "SPAN", 0.001)
    monkeypatch.setattr(helpers, "WARM", 0.001)
    monkeypatch.setenv("TESTS_TO_RUN", "put")
    assert helpers.timeit("get calls", lambda: None) == [None]
    ((name, mean, spread),) = helpers.timeit("put calls", lambda: None, 2, warmup_time_sec=0)
    assert name == "put calls"
    assert mean > 0 <= spread
    assert capsys.readouterr().out.startswith("put calls per second ")
