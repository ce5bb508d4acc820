"""What is installed here."""

from __future__ import annotations

import sys
from importlib import metadata

from nbray.jupyter.insight.installed import installed, normal


def test_packages_by_normalised_name() -> None:
    found = installed()
    assert found.versions["scikit-learn"] == metadata.version("scikit-learn")
    assert found.executable == sys.executable


def test_names_are_compared_as_package_indexes_do() -> None:
    assert normal("Ruamel_Yaml.Clib") == "ruamel-yaml-clib"
