"""`plot`: a graph of calls as a picture, by pydot and Graphviz."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from nbray.dag.dag_node import DAGNode


def edges(dag: DAGNode) -> tuple[list[str], list[tuple[str, str]]]:
    """(names of nodes, arrows from what is needed to what needs it) of the graph up to *dag*."""
    ordered = dag._in_order()
    counts: dict[str, int] = {}
    names: dict[DAGNode, str] = {}
    for node in ordered:
        base = node._what() or type(node).__name__
        number = counts[base] = counts.get(base, 0) + 1
        names[node] = base if number == 1 else f"{base}_{number}"
    found = {(names[need], names[node]): None for node in ordered for need in node._needs()}
    return list(names.values()), list(found)


def plot(dag: DAGNode, to_file: str | None = None) -> Any:
    """Draw the graph up to *dag* into a file, and in a notebook show it.

    Args:
        to_file: its end says the format ('.png', '.svg', ...; None: a temporary one).

    Raises:
        ImportError: pydot is not installed.
        FileNotFoundError: Graphviz is not.
    """
    try:
        import pydot
    except ImportError:
        raise ImportError(
            "pydot is required to plot DAG, install it with `pip install pydot`."
        ) from None
    graph = pydot.Dot(rankdir="LR")
    names, arrows = edges(dag)
    for name in names:
        graph.add_node(pydot.Node(f'"{name}"'))
    for begin, end in arrows:
        graph.add_edge(pydot.Edge(f'"{begin}"', f'"{end}"'))
    path = Path(to_file or Path(tempfile.mkdtemp()) / "graph.png")
    graph.write(str(path), format=path.suffix[1:] or "png")
    try:
        from IPython.display import Image
    except ImportError:
        return None
    image: Any = Image
    return image(filename=str(path)) if path.suffix == ".png" else None
