"""Ray is imported by `init(engine="ray")` alone, which says what to do where it does not fit.

Needs no Ray: what there is of it here is a file.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import nbray
from nbray.engine import load
from nbray.exceptions import RaySystemError


def run(program: str, *paths: Path) -> str:
    """What *program* prints in an interpreter of its own, which finds modules in *paths* first."""
    before = "".join(f"sys.path.insert(0, {str(path)!r})\n" for path in paths)
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{before}{program}"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip


def fake(folder: Path, text: str) -> Path:
    """A folder whose `ray` is a module of this text."""
    (folder / "ray.py").write_text(text)
    return folder


def test_importing_nbray_imports_nothing_of_ray(tmp_path):
    folder = fake(tmp_path, "raise SystemError('Ray was imported')")
    said = run(
        "import nbray, nbray.util, nbray.engines.ray\n"
        "nbray.init(engine='inline'); nbray.shutdown()\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'ray'])",
        folder,
    )
    assert said.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ImportError('none')", "which is not installed here: pip install 'nbray[ray]'"),
        ("__version__ = '2.9.3'", "2.9.3 is installed here: pip install -U 'nbray[ray]'"),
    ],
)
def test_without_a_ray_that_fits_one_sentence_says_what_to_do(tmp_path, text, said):
    program = (
        "import nbray\n"
        "try:\n    nbray.init(engine='ray')\n"
        "except nbray.exceptions.RaySystemError as error:\n    print(error)\n"
    )
    assert said in run(program, fake(tmp_path, text))


def test_it_is_an_engine_like_others():
    assert load("ray").capabilities.name == "ray"
    assert not load("ray").capabilities.early


def test_rays_client_is_refused_before_anything_starts():
    with pytest.raises((RaySystemError, ValueError), match="ray start --address"):
        nbray.init("ray://somewhere:10001", engine="ray")
    assert not nbray.is_initialized()


def test_a_worker_of_ray_means_its_own_cluster(monkeypatch):
    from types import SimpleNamespace

    from nbray import arguments

    monkeypatch.delenv("NBRAY_ENGINE", raising=False)
    assert arguments.engine(None) == "native"
    monkeypatch.setenv("RAY_RAYLET_PID", "1")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    assert arguments.engine(None) == "ray"
    assert arguments.engine("inline") == "inline"
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    assert arguments.engine(None) == "native"


def test_what_differs_is_documented_and_bounded():
    root = Path(__file__).parents[3]
    spec = spec_from_file_location("over_ray", root / "tests/contract/over_ray.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    told = (root / "docs/engines.md").read_text()
    assert len(module.LACKS) <= 15
    for one in module.LACKS:
        assert f"| {one.what} | {one.reason} |" in told
        for test in one.tests:
            file, _, name = test.partition("::")
            assert f"def {name}(" in (root / f"tests/contract/{file}.py").read_text() or not name
