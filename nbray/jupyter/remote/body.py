"""What a worker does with the text of a `%%remote` cell.

Owns the running of a cell's source in a namespace of its own: values in, the
last expression and the asked-for variables out. Imports nothing of IPython's,
because workers may not have it loaded. Rule: line numbers and file name are
those of the notebook's cell, so every traceback points at what the user sees.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import pickle
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

import msgspec

from nbray.definitions import remember_source, trial
from nbray.exceptions import on_behalf

PLAIN = (type(None), bool, int, float, complex, str, bytes)
"""Types that can always travel, so that no trial is needed."""


class Program(msgspec.Struct, frozen=True):
    """A cell as it travels to workers."""

    source: str
    """The whole cell, its `%%remote` line made a comment, so that line numbers agree."""
    filename: str
    """As tracebacks show it: 'Cell In[3]'."""
    target: str = ""
    """ITEM of `--each`, as source."""
    outputs: tuple[str, ...] = ()
    """Variables to bring back."""
    quiet: bool = False
    """The last expression ends in a semicolon, so that its value is not wanted."""
    sources: Mapping[str, str] = {}
    """File name to text of other cells, whose functions this one calls."""


class Values(msgspec.Struct, frozen=True):
    """The notebook's values that a cell reads, beside the large ones."""

    small: bytes = b""
    """A pickled dict of name to value; unpickled anew for each task."""
    live: Mapping[str, Any] = {}
    """Values that hold references, which only the engine can pickle."""
    large: tuple[str, ...] = ()
    """Names of the values that come as arguments of their own, in order."""


class ShownText(msgspec.Struct, frozen=True):
    """Stands in for a last expression that cannot travel: how it looks."""

    text: str

    def __repr__(self) -> str:
        return self.text


_remembered: dict[str, str] = {}
"""What was said of each file, so that it is said once for thousands of elements."""

Result = tuple[Any, dict[str, Any]]
"""(the last expression's value, the variables to bring back)."""


def run(program: Program, values: Values, index: int, item: Any, *large: Any) -> Result:
    """Run the cell; with *index* not negative for the element *item* of `--each`.

    Raises:
        NameError: the cell did not assign a variable that `-o` names.
        TypeError: such a variable cannot be pickled; says which.
        Exception: whatever the cell raises.
    """
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    if values.small:
        namespace |= pickle.loads(values.small)
    namespace |= values.live
    namespace |= zip(values.large, large, strict=True)
    for filename, text in (*program.sources.items(), (program.filename, program.source)):
        if _remembered.get(filename) != text or filename not in linecache.cache:
            remember_source(filename, text)
            _remembered[filename] = text
    statements, last = compiled(program.source, program.filename)
    try:
        if program.target:
            _bind(program.target, item, namespace)
        exec(statements, namespace)  # noqa: S102 - running the user's cell is the feature
        value = eval(last, namespace) if last is not None else None  # noqa: S307 - the same
        shown = None if program.quiet else _showable(value)
        return shown, {name: _output(namespace, name) for name in program.outputs}
    except Exception as error:
        if program.target:
            error.add_note(f"(element {index}: {program.target} = {_brief(item)})")
        raise


def element(program: Program, values: Values, *rest: Any) -> Result:
    """`run` for one element of `--each`: *rest* is the large values, its index and itself.

    Raises:
        Exception: as `run`.
    """
    *large, index, item = rest
    return run(program, values, index, item, *large)


@lru_cache(maxsize=16)
def compiled(source: str, filename: str) -> tuple[CodeType, CodeType | None]:
    """(code of the statements, code of the last expression if the cell shows one).

    Raises:
        SyntaxError: with *filename* and the cell's own line.
    """
    tree = ast.parse(source, filename)
    last: CodeType | None = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        shown = tree.body.pop()
        assert isinstance(shown, ast.Expr)
        last = compile(ast.Expression(shown.value), filename, "eval", dont_inherit=True)
    return compile(tree, filename, "exec", dont_inherit=True), last


def _bind(target: str, value: Any, namespace: dict[str, Any]) -> None:
    if target.isidentifier():
        namespace[target] = value
        return
    namespace["__nbray_element"] = value
    exec(compile(f"{target} = __nbray_element", "--each", "exec"), namespace)  # noqa: S102
    del namespace["__nbray_element"]


def why_not(value: Any) -> str:
    """Why *value* cannot be pickled ('' if it can)."""
    if isinstance(value, PLAIN):
        return ""
    if type(value).__module__ == "numpy" and not getattr(value.dtype, "hasobject", True):
        return ""
    try:
        trial(value)
    except Exception as error:  # noqa: BLE001 - user types raise what they like while pickled
        if "ObjectRef" in str(error):
            return ""  # the engine can
        return str(error) or type(error).__name__
    return ""


def _showable(value: Any) -> Any:
    return ShownText(repr(value)) if why_not(value) else value


def _output(namespace: Mapping[str, Any], name: str) -> Any:
    try:
        value = namespace[name]
    except KeyError:
        raise on_behalf(NameError(f"-o {name}: the cell did not assign {name!r}")) from None
    reason = why_not(value)
    if reason:
        text = f"-o {name}: its value cannot travel to the notebook: {reason}"
        raise on_behalf(TypeError(text))
    return value


def _brief(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken repr must not hide the cell's own error
        text = type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."
