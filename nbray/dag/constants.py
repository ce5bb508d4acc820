"""Keys of what a node refers to besides its arguments (see `DAGNode.get_other_args_to_resolve`)."""

from __future__ import annotations

PARENT_CLASS_NODE_KEY = "parent_class_node"
"""The actor, to come or alive, that a method is called of."""
PREV_CLASS_METHOD_CALL_KEY = "prev_class_method_call"
"""The call of the same actor that was bound before."""
BIND_INDEX_KEY = "bind_index"
"""How many calls of a living actor were bound before, on Ray; no node has it here."""
IS_CLASS_METHOD_OUTPUT_KEY = "is_class_method_output"
"""Whether a node is one of several values that a method returns."""
COLLECTIVE_OPERATION_KEY = "collective_operation"
DAGNODE_TYPE_KEY = "__dag_node_type__"
"""What Ray's collective operations and Ray Serve's nodes have; no node has it here."""
