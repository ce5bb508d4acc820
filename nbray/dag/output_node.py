"""`MultiOutputNode`: several nodes that are run, and given back, together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbray.dag.dag_node import DAGNode


class MultiOutputNode(DAGNode):
    """`MultiOutputNode([f.bind(x), g.bind(x)]).execute(1)` gives a list of references.

    Raises:
        ValueError: it is given no list.
    """

    _in_compiled = True

    def __init__(self, args: list[Any] | tuple[Any, ...]) -> None:
        if not isinstance(args, (list, tuple)):
            raise ValueError(f"Invalid input type for `args`, {type(args)}.")
        super().__init__(tuple(args), {}, {})

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Any]:
        return self._given(results)[0]
