"""`ClassNode` and `ClassMethodNode`: an actor to come, and calls of actors' methods.

Rule: an actor that a graph makes is made in each `execute` anew; its methods are called in
the order in which they were bound, those before the asked one too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbray.dag.constants import (
    IS_CLASS_METHOD_OUTPUT_KEY,
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
)
from nbray.dag.dag_node import DAGNode, said
from nbray.dag.input_node import InputNode


class ClassNode(DAGNode):
    """An actor to come, made by `Class.bind(...)`: `node.method.bind(...)` calls it.

    Raises:
        ValueError: the input is among its arguments.
    """

    def __init__(self, made_by: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._made_by = made_by
        self._last_call: ClassMethodNode | None = None
        super().__init__(args, kwargs, said(made_by._options))
        if any(isinstance(one, InputNode) for one in self._in_order()):
            raise ValueError(
                "InputNode handles user dynamic input the DAG, and cannot be used as args, "
                "kwargs, or other_args_to_resolve in ClassNode constructor because it is not "
                "available at class construction or binding time."
            )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in {"_made_by", "_last_call"}:
            raise AttributeError(name)
        cls = self._made_by._class
        if name in {"bind", "remote"} and not hasattr(cls, name):
            return super().__getattr__(name)
        getattr(cls, name)
        return UnboundMethodNode(self, name, {})

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        given, named = self._given(results)
        return self._made_by.remote(*given, **named)

    def _what(self) -> str:
        return str(self._made_by)


class UnboundMethodNode:
    """A method of an actor to come: `.bind(...)` calls it, `.options(...)` changes how."""

    def __init__(self, actor: ClassNode, name: str, options: Mapping[str, Any]) -> None:
        self._actor = actor
        self._name = name
        self._options = options

    def bind(self, *args: Any, **kwargs: Any) -> ClassMethodNode:
        """The call, as a node."""
        before = self._actor._last_call
        node = ClassMethodNode(self._actor, self._name, args, kwargs, self._options, before)
        self._actor._last_call = node
        return node

    def options(self, **given: Any) -> UnboundMethodNode:
        """The same method with other options."""
        return UnboundMethodNode(self._actor, self._name, {**self._options, **given})

    def __getattr__(self, name: str) -> Any:
        if name == "remote":
            raise AttributeError(
                ".remote() cannot be used on ClassMethodNodes. Use .bind() instead to express an "
                "symbolic actor call."
            )
        raise AttributeError(f"a method that is to be bound has no attribute {name!r}")


class ClassMethodNode(DAGNode):
    """A call of a method, of a living actor or of one to come."""

    def __init__(
        self, actor: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any],
        options: Mapping[str, Any], before: ClassMethodNode | None = None,
    ) -> None:  # fmt: skip
        super().__init__(args, kwargs, options)
        self._actor = actor
        self._name = name
        self._before = before

    is_class_method_call = True
    """It calls a method."""
    _in_compiled = True
    is_class_method_output = False
    """It is one of several values that a method returns."""

    def get_method_name(self) -> str:
        """The method's name."""
        return self._name

    def get_other_args_to_resolve(self) -> dict[str, Any]:
        """The actor, and the call of it that was bound before."""
        return {PARENT_CLASS_NODE_KEY: self._actor, PREV_CLASS_METHOD_CALL_KEY: self._before}

    def _needs(self) -> Iterator[DAGNode]:
        if isinstance(self._actor, DAGNode):
            yield self._actor
        if self._before is not None:
            yield self._before
        yield from super()._needs()

    def _with(self, made: Mapping[DAGNode, Any]) -> DAGNode:
        same = super()._with(made)
        assert isinstance(same, ClassMethodNode)
        if isinstance(self._actor, DAGNode):
            same._actor = made[self._actor]
        if self._before is not None:
            same._before = made[self._before]
        return same

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        actor = results[self._actor] if isinstance(self._actor, DAGNode) else self._actor
        method = getattr(actor, self._name)
        if self._bound_options:
            method = method.options(**self._bound_options)
        given, named = self._given(results)
        return method.remote(*given, **named)

    def _what(self) -> str:
        return f"{self._name}()"


class MethodOutputNode(ClassMethodNode):
    """One of several values that a method returns (`num_returns` of two or more)."""

    def __init__(self, call: ClassMethodNode, index: int) -> None:
        super().__init__(None, call.get_method_name(), (call, index), {}, {})

    is_class_method_call = False
    is_class_method_output = True

    @property
    def class_method_call(self) -> ClassMethodNode:
        """The call whose value it is one of."""
        call: ClassMethodNode = self._bound_args[0]
        return call

    @property
    def output_idx(self) -> int:
        """Which of the values, from 0 on."""
        index: int = self._bound_args[1]
        return index

    def get_other_args_to_resolve(self) -> dict[str, Any]:
        """That it is one of several values."""
        return {IS_CLASS_METHOD_OUTPUT_KEY: True}

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        (returned, index), _ = self._given(results)
        return returned[index]


def bound_call(method: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What `handle.method.bind(...)` gives: a node, or one for each of several returns.

    Raises:
        TypeError: the method does not accept these arguments.
    """
    if method._shape is not None:
        method._shape.check(args, kwargs)
    call = _HandleCall(method, args, kwargs)
    returns = method._options.num_returns
    if isinstance(returns, int) and returns > 1:
        return tuple(MethodOutputNode(call, index) for index in range(returns))
    return call


class _HandleCall(ClassMethodNode):
    """A call of a living actor, by the method with its options."""

    def __init__(self, method: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        super().__init__(None, method._name, args, kwargs, said(method._options))
        self._method = method
        self.actor_info = method._info

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        given, named = self._given(results)
        return self._method.remote(*given, **named)
