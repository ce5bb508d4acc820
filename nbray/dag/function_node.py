"""`FunctionNode`: a task to come, made by `function.bind(...)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbray.dag.dag_node import DAGNode, said


class FunctionNode(DAGNode):
    """A call of a remote function, with its options."""

    def __init__(
        self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__(args, kwargs, said(function._options))
        self._function = function

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        given, named = self._given(results)
        return self._function.remote(*given, **named)

    def _what(self) -> str:
        return str(self._function)
