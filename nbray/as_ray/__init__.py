"""The name `ray`: nbray for programs and libraries that import Ray.

Owns the finder that gives `ray` and its submodules, which modules they are, and what is said of
those that nbray has not. Does not own what Ray keeps private or elsewhere (`nbray._private`), nor
how workers learn of it (`nbray.hosting`: with the modules of their jobs).

Rules. Nothing of it is imported or installed unless it is asked for; then nbray wins over a Ray
that is installed, too. Submodules are nbray's own module objects, so that a class is the same
under both names; `ray` itself is a module of its own, for it has Ray's version.

`startup/` is a folder for `sys.path`: it holds the metadata by which others look whether Ray is
installed, and what installs the finder in processes that are started from this one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import CodeType, FrameType, ModuleType
from typing import Any

VERSION = "2.60.0"
"""Of the Ray whose API this is."""
STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "startup")
MODULES = frozenset({
    "_common", "_private", "_raylet", "_version", "actor", "air", "autoscaler", "client_builder",
    "cloudpickle", "cluster_utils", "core", "cross_language", "dag", "dashboard", "data",
    "exceptions", "experimental", "internal", "job_config", "job_submission", "llm",
    "remote_function", "rllib", "runtime_context", "runtime_env", "serve", "setup_dev", "train",
    "tune", "types", "util", "widgets", "workflow",
})  # fmt: skip
"""What Ray has; other modules of nbray's are not found as Ray's."""
_HOMES = ("nbray", "nbray._private.stand_ins")
"""Where they are, in this order; each has Ray's tree."""
_LIBRARIES = {
    "air": ("Ray AIR", "air"), "autoscaler": ("Ray's autoscaler", "default"),
    "data": ("Ray Data", "data"), "llm": ("Ray's LLM library", "llm"),
    "rllib": ("RLlib", "rllib"), "serve": ("Ray Serve", "serve"), "train": ("Ray Train", "train"),
    "tune": ("Ray Tune", "tune"), "workflow": ("Ray Workflows", "default"),
}  # fmt: skip
"""Name of a part of Ray that is not its core to what people call it, and the extra to install."""


def absent(name: str) -> str:
    """What is said of *name*, 'ray.train.Trainer' say, where nbray has no such thing."""
    called, extra = _LIBRARIES.get(name.split(".")[1], ("it", "default"))
    return (
        f"nbray has no {name}: it runs what is written for Ray Core, without the rest. For {called}"
        f" install the real Ray (pip install 'ray[{extra}]') and start the program without "
        "`nbray run --as-ray` and install_as_ray()"
    )


def home_of(name: str) -> str:
    """The module of nbray's that is *name*, 'ray.util.queue' say; '' if there is none."""
    inside = name.partition(".")[2]
    if inside.partition(".")[0] not in MODULES:
        return ""
    for home in _HOMES:
        try:
            if importlib.util.find_spec(f"{home}.{inside}") is not None:
                return f"{home}.{inside}"
        except ModuleNotFoundError:  # what it would be in is not there, or no package
            continue
    return ""


class Finder:
    """Stands first in `sys.meta_path` and answers for `ray` and all that begins with `ray.`."""

    gives_ray = True
    """By which it is known, without importing this module."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of `ray` or of a submodule.

        Raises:
            ModuleNotFoundError: it is imported, and nbray has it not. Who only looks whether it is
                there, by `importlib.util.find_spec`, is told None.
            ImportError: the same for `from ray import ...`.
        """
        if name == "ray":
            spec = ModuleSpec(name, _Top(), origin=_package().__file__, is_package=True)
            spec.submodule_search_locations = list(_package().__path__)
            return spec
        if not name.startswith("ray."):
            return None
        home = home_of(name)
        if home:
            return ModuleSpec(name, _Same(home), origin=home)
        asked = _asked_by(sys._getframe(1))
        if "_handle_fromlist" in asked:
            raise ImportError(absent(name), name=name)
        if "_find_and_load_unlocked" in asked:
            raise ModuleNotFoundError(absent(name), name=name)
        return None


FINDER = Finder()


def _asked_by(frame: FrameType | None) -> set[str]:
    """The functions of Python's import machinery that are running, innermost first."""
    names = set()
    while frame is not None and "importlib._bootstrap" in frame.f_code.co_filename:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names


class _Same(Loader):
    """Loads a submodule: it is a module that nbray has."""

    def __init__(self, home: str) -> None:
        self._home = home

    def create_module(self, spec: ModuleSpec) -> None:
        """None: an empty module is made, and not used."""

    def exec_module(self, module: ModuleType) -> None:
        """Have nbray's module stand in the place of *module*."""
        sys.modules[module.__name__] = importlib.import_module(self._home)

    def get_code(self, name: str) -> CodeType | None:
        """The code of nbray's module, for `python -m` and its kin."""
        spec = importlib.util.find_spec(self._home)
        loader: Any = spec.loader if spec is not None else None
        code: CodeType | None = loader.get_code(self._home)
        return code


class _Top(Loader):
    """Loads `ray` itself."""

    def create_module(self, spec: ModuleSpec) -> None:
        """None: an ordinary module is made."""

    def exec_module(self, module: ModuleType) -> None:
        """Give *module* nbray's public names; what comes later is asked for by `__getattr__`."""
        package = _package()
        given = vars(module)
        for name in package.__all__:
            if name in vars(package):
                given[name] = vars(package)[name]
        given.update(
            __version__=VERSION, __commit__="", __doc__=package.__doc__, __file__=package.__file__,
            __all__=list(package.__all__), __getattr__=_later, __dir__=lambda: sorted({*given}),
        )  # fmt: skip


def _package() -> Any:
    return sys.modules["nbray"]


def _later(name: str) -> Any:
    """`ray.NAME`, if it is none of the names that `ray` was given.

    Raises:
        AttributeError: there is no such thing; says so.
    """
    if not name.startswith("__"):
        if home_of(f"ray.{name}"):
            return importlib.import_module(f"ray.{name}")
        package = _package()
        if not isinstance(vars(package).get(name), ModuleType):  # one that Ray has not
            found = getattr(package, name, None)
            if found is not None:
                return found
    raise AttributeError(absent(f"ray.{name}"), name=name, obj=sys.modules.get("ray"))


def installed() -> bool:
    """Whether `ray` is nbray in this process."""
    return FINDER in sys.meta_path


def install() -> None:
    """Have `ray` be nbray in this process from now on. Once more changes nothing.

    Warns:
        RuntimeWarning: the real Ray is imported here; what holds it keeps it.
    """
    if installed():
        return
    remove()
    real = sys.modules.get("ray")
    about = getattr(real, "__version__", None)
    if about is not None and real is not _package():
        warnings.warn(
            f"ray {about} ({getattr(real, '__file__', None)}) is imported here already: what has "
            "it keeps it, and whoever imports ray from now on gets nbray. Call "
            "nbray.install_as_ray() first, or start the program by `nbray run --as-ray`",
            RuntimeWarning,
            stacklevel=3,
        )
    _forget()
    sys.meta_path.insert(0, FINDER)
    if STARTUP not in sys.path:
        sys.path.insert(1, STARTUP)  # 0 is the program's own folder


def remove() -> None:
    """Take it back: `ray` is what is installed as such."""
    mine = installed()
    sys.meta_path[:] = [one for one in sys.meta_path if not getattr(one, "gives_ray", False)]
    sys.path[:] = [entry for entry in sys.path if entry != STARTUP]
    if mine:
        _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name == "ray" or name.startswith("ray.")]:
        del sys.modules[name]
