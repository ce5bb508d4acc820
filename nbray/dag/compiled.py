"""`CompiledDAG`: a graph of calls of actors that is run many times.

Owns what Ray's compiled graphs refuse, and when one has ended. Does not own how it is run: by
calls, as `execute` does it; there are no channels between the actors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbray import session
from nbray.unraised_exceptions import RayChannelError

if TYPE_CHECKING:
    from nbray.dag.dag_node import DAGNode


class CompiledDAG:
    """Made by `experimental_compile`; `execute` runs it, `teardown` ends it.

    Raises:
        ValueError: the graph has no input.
        NotImplementedError: something in it is no call of an actor.
    """

    def __init__(self, last: DAGNode, enable_asyncio: bool) -> None:
        ordered = last._in_order()
        if not any(one._takes_input for one in ordered):
            raise ValueError(
                "No InputNode found in the DAG: when traversing upwards, no upstream node was "
                f"found for {ordered[0]!r}."
            )
        if not all(one._in_compiled for one in ordered):
            raise NotImplementedError("Compiled DAGs currently only support actor method nodes")
        parts = [one._input_part for one in ordered if one._input_part is not None]
        numbers = [key for key in parts if isinstance(key, int)]
        self._last = last
        self._asyncio = enable_asyncio
        self._count = (max(numbers) + 1 if numbers else 0) if parts else 1
        self._names = {key for key in parts if isinstance(key, str)}
        self._ended = False

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run it: an `ObjectRef`, or a list of them, as `DAGNode.execute` gives.

        Raises:
            ValueError: it has another input, or is for `execute_async`.
            RayChannelError: it has ended.
        """
        if self._asyncio:
            raise ValueError("Use execute_async if enable_asyncio=True")
        return self._run(args, kwargs)

    async def execute_async(self, *args: Any, **kwargs: Any) -> Any:
        """The same, for coroutines: what is returned is to be awaited; raises as `execute`."""
        if not self._asyncio:
            raise ValueError("Use execute if enable_asyncio=False")
        return self._run(args, kwargs)

    def _run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if self._ended:
            raise RayChannelError("System error: Channel closed.")
        if len(args) != self._count:
            raise ValueError(
                "dag.execute() or dag.execute_async() must be called with "
                f"{self._count} positional args, got {len(args)}"
            )
        for name in sorted(self._names - kwargs.keys()):
            raise ValueError(
                f"dag.execute() or dag.execute_async() must be called with kwarg `{name}`"
            )
        return self._last.execute(*args, **kwargs)

    def teardown(self, kill_actors: bool = False) -> None:
        """Run it no more.

        Args:
            kill_actors: end its actors, too.
        """
        self._ended = True
        engine = session.current()
        if kill_actors and engine is not None:
            actors = {one.actor_info.key: one.actor_info for one in self._calls()}
            for info in actors.values():
                engine.actors.kill(info, True)

    def _calls(self) -> list[DAGNode]:
        return [one for one in self._last._in_order() if one.actor_info is not None]
