"""Graphs of calls, made with `bind` and run by `execute` (Ray's `ray.dag`).

Owns the nodes. Does not own the calls: `execute` makes them by `.remote(...)`. Compiled graphs
(`compiled`) are run in the same way.
"""

from __future__ import annotations

from nbray.dag.class_node import ClassMethodNode, ClassNode
from nbray.dag.constants import (
    BIND_INDEX_KEY,
    COLLECTIVE_OPERATION_KEY,
    DAGNODE_TYPE_KEY,
    IS_CLASS_METHOD_OUTPUT_KEY,
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
)
from nbray.dag.dag_node import DAGNode
from nbray.dag.function_node import FunctionNode
from nbray.dag.input_node import DAGInputData, InputAttributeNode, InputNode
from nbray.dag.output_node import MultiOutputNode
from nbray.dag.vis_utils import plot

__all__ = [
    "BIND_INDEX_KEY",
    "COLLECTIVE_OPERATION_KEY",
    "DAGNODE_TYPE_KEY",
    "IS_CLASS_METHOD_OUTPUT_KEY",
    "PARENT_CLASS_NODE_KEY",
    "PREV_CLASS_METHOD_CALL_KEY",
    "ClassMethodNode",
    "ClassNode",
    "DAGInputData",
    "DAGNode",
    "FunctionNode",
    "InputAttributeNode",
    "InputNode",
    "MultiOutputNode",
    "plot",
]

_COMPILED = frozenset({
    "CollectiveOutputNode", "DAGContext", "DAGOperationFuture", "GPUFuture",
})  # fmt: skip
"""Names of Ray's that serve compiled graphs."""


def __getattr__(name: str) -> object:
    if name in _COMPILED:
        raise AttributeError(
            f"module 'nbray.dag' has no {name!r}: it serves the channels of Ray's compiled graphs; "
            "nbray runs one by calls"
        )
    raise AttributeError(f"module 'nbray.dag' has no attribute {name!r}")
