"""What travels as a struct: how its fields are annotated."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from nbray.runtime.shell.process import channel
from nbray.wire import messages


def _structs(kind: Any, seen: set[Any]) -> set[Any]:
    """All structs that values of *kind* may have in them."""
    for part in typing.get_args(kind):
        if not isinstance(part, list):
            _structs(part, seen)
    if hasattr(kind, "__struct_fields__") and kind not in seen:
        seen.add(kind)
        for annotation in typing.get_type_hints(kind).values():
            _structs(annotation, seen)
    return seen


@pytest.mark.parametrize(
    "union",
    [messages.ToClient, messages.ToNode, messages.ToHead, channel.ToRoot, channel.RootConfig],
)
def test_no_annotation_is_a_string(union: Any) -> None:
    """msgspec would evaluate each at the start of every process: twice the time of the rest."""
    structs = _structs(union, set())
    assert structs
    for struct in structs:
        for base in struct.__mro__:
            for name, annotation in vars(base).get("__annotations__", {}).items():
                assert not isinstance(annotation, str), f"{base.__module__}: {name}"
