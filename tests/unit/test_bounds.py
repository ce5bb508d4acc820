"""nbray's lower bounds leave alone what front ends have that cannot be upgraded."""

from __future__ import annotations

import re
import tomllib

import pytest
from harness import ROOT
from packaging.requirements import Requirement

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDS = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
COLAB = dict(
    re.findall(r"^([\w-]+)==(.+)$", (ROOT / "tests/fronts/colab.txt").read_text(), re.MULTILINE)
)


@pytest.mark.parametrize("name", sorted(COLAB))
def test_colabs_versions_are_old_enough_and_new_enough(name: str) -> None:
    if name in NEEDS:
        assert NEEDS[name].specifier.contains(COLAB[name])
    else:  # nbray takes whatever the others bring
        assert name in {"ipython", "jupyter_client"}


@pytest.mark.parametrize(
    ("name", "version"), [("psutil", "5.9.5"), ("cloudpickle", "3.1.0"), ("jinja2", "3.1.6"),
                          ("click", "8.1.8"), ("ipykernel", "7.4.0"), ("ipywidgets", "8.1.9")],
)  # fmt: skip
def test_other_common_ones_too(name: str, version: str) -> None:
    assert NEEDS[name].specifier.contains(version)


def test_nothing_is_bounded_from_above() -> None:
    """Or an environment that moves on could not have nbray."""
    for one in NEEDS.values():
        assert not [bound for bound in one.specifier if bound.operator not in {">=", "!="}], one
