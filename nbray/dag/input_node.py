"""`InputNode`: what `execute` is given, as a whole or by its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Self

from nbray.dag.dag_node import DAGNode


class DAGInputData:
    """Several arguments of `execute`, as one value: `data[0]`, `data["name"]`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args = args
        self._kwargs = kwargs

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, int):
            return self._args[key]
        if isinstance(key, str):
            return self._kwargs[key]
        raise _refused()


class InputNode(DAGNode):
    """Stands for the input: `with InputNode() as x: graph = f.bind(x)`, `graph.execute(3)`.

    `x[0]`, `x["name"]` and `x.name` stand for parts of it: of the arguments, if `execute`
    is given several, else of the one argument.

    Raises:
        ValueError: it is given an argument (but `input_type`, which has no effect).
    """

    _takes_input = True
    _in_compiled = True

    def __init__(self, *args: Any, input_type: Any = None, **kwargs: Any) -> None:
        if args or kwargs:
            raise ValueError("InputNode should not take any args or kwargs.")
        super().__init__((), {}, {})
        self._entered = False
        self.input_context: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._entered = True
        return self

    def __exit__(self, *_: object) -> None:
        """The node stays usable."""

    def __getitem__(self, key: int | str) -> InputAttributeNode:
        if not isinstance(key, (int, str)):
            raise AssertionError(
                "Please only use int index or str as first-level key to access fields of dag input."
            )
        return InputAttributeNode(self, key, "__getitem__")

    def __getattr__(self, name: str) -> InputAttributeNode:
        if name.startswith("__") or name in {"_entered", "input_context"}:
            raise AttributeError(name)
        return InputAttributeNode(self, name, "__getattr__")

    def set_context(self, key: str, value: Any) -> None:
        """Keep *value*: programs leave notes here."""
        self.input_context[key] = value

    def __iter__(self) -> NoReturn:
        raise TypeError("an InputNode cannot be iterated over: take its parts by x[0], x[1]")

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not self._entered:
            raise AssertionError(
                "InputNode is a singleton instance that should be only used in context manager "
                "for dag building and execution: with InputNode() as x: ..."
            )
        return args[0] if len(args) == 1 and not kwargs else DAGInputData(*args, **kwargs)


class InputAttributeNode(DAGNode):
    """A part of the input."""

    _in_compiled = True

    def __init__(self, source: InputNode, key: int | str, accessor: str) -> None:
        super().__init__((), {}, {})
        self._source = source
        self._key = self._input_part = key
        self._accessor = accessor

    @property
    def key(self) -> int | str:
        """The index, key or attribute that it stands for."""
        return self._key

    def _needs(self) -> Iterator[DAGNode]:
        yield self._source

    def _with(self, made: Mapping[DAGNode, Any]) -> DAGNode:
        same = super()._with(made)
        assert isinstance(same, InputAttributeNode)
        same._source = made[self._source]
        return same

    def _run(
        self, results: Mapping[DAGNode, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        source = results[self._source]
        if self._accessor == "__getattr__" and not isinstance(source, DAGInputData):
            return getattr(source, str(self._key))
        return source[self._key]

    def _what(self) -> str:
        return repr(self._key)


def _refused() -> ValueError:
    return ValueError(
        "Please only use int index or str as first-level key to access fields of dag input."
    )
