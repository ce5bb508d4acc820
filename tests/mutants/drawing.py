"""Which one-line changes of a source there are, and what the line looks like then.

Owns the kinds of change. Does not own running anything. Left out are the names
of things, docstrings, annotations, the checks of invariants, what only the type checker
asks for (`assert_never`), and the times and sizes at the top of a module, which
are a matter of taste.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

import msgspec

SWAPPED: dict[type, str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
    ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.FloorDiv: "*", ast.Div: "*",
    ast.And: "or", ast.Or: "and",
}  # fmt: skip
SIGNS: dict[type, str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Div: "/",
    ast.And: "and", ast.Or: "or",
}  # fmt: skip


class Change(msgspec.Struct, frozen=True, order=True):
    """A line of a file, as it is and as it would be."""

    file: str
    line: int
    """From 1."""
    was: str
    now: str
    start: int = 0
    """Of what is replaced, in bytes of the line."""
    end: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is called where changes are remembered: lines move."""
        return self.file, self.was.strip(), self.now.strip()


def changes(file: str, source: str) -> list[Change]:
    """Every change of *source*."""
    lines = source.encode().split(b"\n")
    found: list[Change] = []
    for line, start, end, text in _edits(ast.parse(source), lines):
        was = lines[line - 1]
        now = was[:start] + text.encode() + was[end:]
        if now != was:
            found.append(Change(file, line, was.decode(), now.decode(), start, end))
    return sorted(set(found))


def changed(source: str, change: Change) -> str:
    """*source* with the change."""
    lines = source.split("\n")
    assert lines[change.line - 1] == change.was, "the source has changed meanwhile"
    lines[change.line - 1] = change.now
    return "\n".join(lines)


_LEFT_OUT = (ast.FunctionDef, ast.ClassDef, ast.JoinedStr, ast.Assert, ast.Raise)

Edit = tuple[int, int, int, str]
"""(line, from, to, what to write there)."""


def _edits(tree: ast.Module, lines: list[bytes]) -> Iterator[Edit]:
    for function in _functions(tree):
        for node in _within(function.body):
            if getattr(node, "lineno", 0) == getattr(node, "end_lineno", -1):
                yield from _of(node)
            if isinstance(node, ast.Compare | ast.BinOp | ast.BoolOp):
                yield from _operators(node, lines)
            if isinstance(node, ast.If | ast.While | ast.IfExp):
                test = node.test
                if test.lineno == test.end_lineno:
                    text = _text(lines, test)
                    yield test.lineno, test.col_offset, test.end_col_offset or 0, f"not ({text})"


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name != "check":
            yield node


def _within(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside and without annotations."""
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, _LEFT_OUT):
            continue
        yield node
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "type_comment"}:
                continue
            children = value if isinstance(value, list) else [value]
            stack.extend(child for child in children if isinstance(child, ast.AST))


def _of(node: ast.AST) -> Iterator[Edit]:
    line, start = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
    end = getattr(node, "end_col_offset", 0)
    match node:
        case ast.Constant(value=bool(value)):
            yield line, start, end, str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield line, start, end, f"{value + 1}"
        case ast.UnaryOp(op=ast.Not()):
            yield line, start, start + 4, ""
        case ast.Continue():
            yield line, start, end, "break"
        case ast.Break():
            yield line, start, end, "continue"
        case ast.AugAssign() | ast.Delete():
            yield line, start, end, "pass"
        case ast.Expr(value=ast.Call(func=ast.Name("assert_never"))):
            return
        case ast.Expr(value=ast.Call()):
            yield line, start, end, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield line, start, end, "pass"
        case _:
            return


def _operators(node: ast.Compare | ast.BinOp | ast.BoolOp, lines: list[bytes]) -> Iterator[Edit]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            parts = list(zip([left, *others], ops, others, strict=False))
        case ast.BinOp(left=left, op=op, right=right):
            parts = [(left, op, right)]
        case ast.BoolOp(op=op, values=values):
            parts = [(one, op, two) for one, two in itertools.pairwise(values)]
    for one, sign, two in parts:
        kind: type = type(sign)
        if kind not in SIGNS or one.end_lineno != two.lineno:
            continue
        between = lines[two.lineno - 1][one.end_col_offset : two.col_offset]
        at = between.find(SIGNS[kind].encode())
        if at >= 0:
            start = (one.end_col_offset or 0) + at
            yield two.lineno, start, start + len(SIGNS[kind]), SWAPPED[kind]


def _text(lines: list[bytes], node: ast.expr) -> str:
    return lines[node.lineno - 1][node.col_offset : node.end_col_offset].decode()
