"""`DAGNode`: a call, an actor or an input that is not there yet; running a graph of them.

Owns the order in which nodes are run and the replacing of nodes by what they gave. Rule:
in one `execute`, each node is run once, after what it depends on, without recursion.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from nbray.dag.compiled import CompiledDAG


class DAGNode:
    """What all nodes have in common. They are made by `bind`, and travel like other values."""

    def __init__(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        self._bound_args = args
        self._bound_kwargs = dict(kwargs)
        self._bound_options = dict(options)
        self._stable_uuid = uuid.uuid4().hex
        self.cache_from_last_execute: dict[str, Any] = {}

    def get_args(self) -> tuple[Any, ...]:
        """The positional arguments, nodes among them."""
        return self._bound_args

    def get_kwargs(self) -> dict[str, Any]:
        """The keyword arguments, nodes among them."""
        return dict(self._bound_kwargs)

    def get_options(self) -> dict[str, Any]:
        """The options of the call or actor."""
        return dict(self._bound_options)

    def get_other_args_to_resolve(self) -> dict[str, Any]:
        """What the node refers to besides its arguments, by the keys of `constants`."""
        return {}

    def get_stable_uuid(self) -> str:
        """What names the node, also where it has been sent."""
        return self._stable_uuid

    def clear_cache(self) -> None:
        """Forget what `execute` has kept."""
        self.cache_from_last_execute = {}

    async def get_object_refs_from_last_execute(self) -> dict[str, Any]:
        """What each node gave in the last `execute` that kept it, by the nodes' ids."""
        return dict(self.cache_from_last_execute)

    def apply_functional(
        self, source_input_list: Any, predicate_fn: Callable[[DAGNode], bool],
        apply_fn: Callable[[DAGNode], Any],
    ) -> Any:  # fmt: skip
        """*source_input_list*; nodes for which *predicate_fn* is true as *apply_fn* makes them."""
        chosen = {
            node: apply_fn(node) if predicate_fn(node) else node
            for node in dict.fromkeys(nodes_in(source_input_list))
        }
        return replaced(source_input_list, chosen)

    def with_tensor_transport(self, *_args: Any, **_kwargs: Any) -> DAGNode:
        """This node: its value travels through the object store, on GPUs too."""
        return self

    def traverse_and_apply(self, fn: Callable[[DAGNode], object]) -> None:
        """Call *fn* with each node that this one depends on, and before with this one."""
        for node in reversed(self._in_order()):
            fn(node)

    def apply_recursive(self, fn: Callable[[Any], Any]) -> Any:
        """What *fn* makes of this node, after all that it depends on.

        *fn* is called once for each node, with a copy that has what it made of others in their
        places.

        Raises:
            AssertionError: there are two input nodes.
        """
        made: dict[DAGNode, Any] = {}
        ordered = self._in_order()
        if sum(node._takes_input for node in ordered) > 1:
            raise AssertionError("Each DAG should only have one unique InputNode.")
        for node in ordered:
            made[node] = fn(node._with(made))
        return made[self]

    def _with(self, made: Mapping[DAGNode, Any]) -> DAGNode:
        """This node, by the same id, where what it depends on has become what *made* says."""
        same = copy.copy(self)
        args, same._bound_kwargs = self._given(made)
        same._bound_args = tuple(args)
        return same

    def execute(self, *args: Any, _ray_cache_refs: bool = False, **kwargs: Any) -> Any:
        """Run the graph up to this node; does not wait for it.

        Args:
            args, kwargs: what the `InputNode` stands for in this run.
            _ray_cache_refs: keep what each node gave in `cache_from_last_execute`.

        Returns:
            An `ObjectRef`; of an actor its handle, of a `MultiOutputNode` a list.

        Raises:
            AssertionError: there are two input nodes, or one outside of its `with` block.
            TypeError: a call does not accept its arguments.
        """
        results: dict[DAGNode, Any] = {}
        inputs: set[DAGNode] = set()
        for node in self._in_order():
            if node._takes_input:
                inputs.add(node)
                if len(inputs) > 1:
                    raise AssertionError("Each DAG should only have one unique InputNode.")
            results[node] = node._run(results, args, kwargs)
        if _ray_cache_refs:
            self.cache_from_last_execute = {
                node._stable_uuid: result for node, result in results.items()
            }
        return results[self]

    def experimental_compile(self, *, enable_asyncio: bool = False, **_others: Any) -> CompiledDAG:
        """This graph of calls of actors, to be run many times; by calls, as `execute` runs it.

        Args:
            enable_asyncio: for `execute_async` instead of `execute`.
            _others: Ray's, about channels and buffers: without effect.

        Raises:
            ValueError: it has no input, or is compiled already.
            NotImplementedError: something in it is no call of an actor.
        """
        from nbray.dag.compiled import CompiledDAG

        if self.is_cgraph_output_node:
            raise ValueError(
                "It is not allowed to call `experimental_compile` on the same DAG object multiple "
                "times no matter whether `teardown` is called or not. Please reuse the existing "
                "compiled DAG or create a new one."
            )
        compiled = CompiledDAG(self, enable_asyncio)
        self.is_cgraph_output_node = True
        return compiled

    is_cgraph_output_node = False
    """Whether it has been compiled."""
    _takes_input = False
    _in_compiled = False
    """Whether it may be in a compiled graph."""
    _input_part: int | str | None = None
    """Which part of the input it stands for."""
    actor_info: Any = None
    """What engines know the living actor by that it calls."""

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What this node gives, where all that it depends on is in *results*."""
        raise NotImplementedError

    def _needs(self) -> Iterator[DAGNode]:
        """The nodes that must be run before."""
        yield from nodes_in(self._bound_args)
        yield from nodes_in(self._bound_kwargs)

    def _in_order(self) -> list[DAGNode]:
        """This node and all it depends on, each after what it depends on itself."""
        ordered: dict[DAGNode, None] = {}
        open_: list[tuple[DAGNode, Iterator[DAGNode]]] = [(self, self._needs())]
        while open_:
            node, needs = open_[-1]
            missing = next((one for one in needs if one not in ordered), None)
            if missing is None:
                ordered[node] = None
                open_.pop()
            else:
                open_.append((missing, missing._needs()))
        return list(ordered)

    def _given(self, results: Mapping[DAGNode, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with what nodes gave in their places."""
        kwargs = {key: replaced(one, results) for key, one in self._bound_kwargs.items()}
        return [replaced(one, results) for one in self._bound_args], kwargs

    def __copy__(self) -> Any:
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__)
        return same

    def __getattr__(self, name: str) -> Any:
        if name == "bind":
            raise AttributeError(f".bind() cannot be used again on {type(self)} ")
        if name == "remote":
            raise AttributeError(
                f".remote() cannot be used on {type(self)}. To execute the task graph for this "
                "node, use .execute()."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        given = [repr(one) for one in self._bound_args]
        given += [f"{key}={one!r}" for key, one in self._bound_kwargs.items()]
        return f"{type(self).__name__}({self._what()})({', '.join(given)})"

    def _what(self) -> str:
        return ""


def said(options: msgspec.Struct) -> dict[str, Any]:
    """Those of *options* that are not what they are by default."""
    plain = type(options)()
    return {
        name: value
        for name in options.__struct_fields__
        if (value := getattr(options, name)) != getattr(plain, name)
    }


def nodes_in(value: Any) -> Iterator[DAGNode]:
    """The nodes in *value*, also within lists, tuples, dictionaries and sets."""
    if isinstance(value, DAGNode):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from nodes_in(key)
            yield from nodes_in(one)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            yield from nodes_in(one)


def replaced(value: Any, results: Mapping[DAGNode, Any]) -> Any:
    """*value* with what the nodes in it gave in their places; itself if there are none."""
    if isinstance(value, DAGNode):
        return results[value]
    if not isinstance(value, (dict, list, tuple, set, frozenset)):
        return value
    if next(nodes_in(value), None) is None:
        return value
    if isinstance(value, dict):
        return {replaced(key, results): replaced(one, results) for key, one in value.items()}
    found = [replaced(one, results) for one in value]
    return type(value)(*found) if hasattr(value, "_fields") else type(value)(found)
