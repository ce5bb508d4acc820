"""Engines: a small protocol, asked for what it can do and never for its name."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from architecture.sources import parsed

from nbray import engine as module
from nbray.config import InitConfig
from nbray.engines import inline, scripted
from nbray.engines.inline import InlineEngine
from nbray.engines.scripted import ScriptedEngine
from nbray.runtime.shell.client.engine import NativeEngine

PACKAGE = Path(__file__).resolve().parents[2] / "nbray"
NAMES = {"native", "inline", "scripted"}
MOST_MEMBERS = 15
MOST_LINES = 150
"""Of a whole engine, for whoever wants to write one."""
PARTS = {
    "actors": module.Actors,
    "cells": module.Cells,
    "cluster": module.Cluster,
    "context": module.Context,
    "insight": module.Insight,
}


def members(protocol: type) -> set[str]:
    found = {*vars(protocol), *getattr(protocol, "__annotations__", {})}
    return {name for name in found if not name.startswith("_")}


def test_an_engine_has_few_members() -> None:
    assert len(members(module.Engine)) <= MOST_MEMBERS, sorted(members(module.Engine))
    assert set(PARTS) < members(module.Engine)


def test_the_smallest_engine_is_small() -> None:
    assert len(inspect.getsource(scripted).splitlines()) < MOST_LINES


@pytest.mark.parametrize("kind", [InlineEngine, NativeEngine, ScriptedEngine])
def test_every_engine_has_the_members_and_says_what_it_can(kind: type) -> None:
    capabilities = vars(kind)["capabilities"]
    assert isinstance(capabilities, module.Capabilities)
    assert not members(module.Engine) - set(PARTS) - {"ended"} - set(dir(kind))


def test_parts_have_their_protocols_members() -> None:
    started = inline.start(InitConfig(num_cpus=1))
    for engine in (started, ScriptedEngine()):
        for name, protocol in PARTS.items():
            assert members(protocol) <= set(dir(getattr(engine, name))), name
    started.shutdown()


def test_nobody_outside_engines_compares_an_engines_name() -> None:
    """What an engine can do is asked of its `capabilities`."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts
        if inside[0] in {"engines", "runtime"}:
            continue
        for item in ast.walk(parsed(path)):
            if not isinstance(item, ast.Compare):
                continue
            sides = [item.left, *item.comparators]
            named = any("capabilities.name" in ast.unparse(side) for side in sides)
            said = any(isinstance(side, ast.Constant) and side.value in NAMES for side in sides)
            asked = any(ast.unparse(side).endswith((".name", ".engine")) for side in sides)
            if named or (said and asked):
                found.append(f"{'/'.join(inside)}:{item.lineno}: {ast.unparse(item)}")
    assert not found


IDENTITIES = {"owner", "seq", "actor"}
KEEPERS = {"refs.py", "details.py", "engine.py"}
"""Where identities are made and compared."""


def test_nobody_outside_engines_takes_an_identity_apart() -> None:
    """What names an object or an actor is its engine's own: others compare keys and show hex."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts
        if inside[0] in {"engines", "runtime", "wire", *KEEPERS}:
            continue
        found += [
            f"{'/'.join(inside)}:{item.lineno}: {ast.unparse(item)}"
            for item in ast.walk(parsed(path))
            if isinstance(item, ast.Attribute)
            and item.attr in IDENTITIES
            and (item.attr == "seq" or ast.unparse(item.value).endswith(("info", "ref")))
        ]
    assert not found
