"""Which names a cell reads from the notebook, and which it binds. Pure.

Owns the reading of a cell's syntax tree. Does not own the values: `capture`
looks them up and packs them.

Rule: a name travels if some path through the cell may read it before the cell
has certainly bound it. Sending one name too many costs time; one too few is a
wrong result. Names that the cell also binds are told apart (`maybe`), because
it is no error if such a name's old value cannot travel.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
ComprehensionNode = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


class CellNames(msgspec.Struct, frozen=True):
    """The names of one cell, each group in the order of first appearance."""

    needed: tuple[str, ...]
    """Read, and nowhere bound by the cell: these come from the notebook or are builtins."""
    maybe: tuple[str, ...]
    """Read before they are certainly bound, and bound somewhere in the cell."""
    bound: tuple[str, ...]
    """Bound at the cell's top level, perhaps in a branch."""


def names_of(tree: ast.Module, known: Iterable[str] = ()) -> CellNames:
    """The names that the cell *tree* reads and binds; *known* are bound before it starts."""
    walk = _Walk(set(known))
    for statement in tree.body:
        walk.visit(statement)
    free = list(walk.free)
    return CellNames(
        needed=tuple(name for name in free if name not in walk.bound),
        maybe=tuple(name for name in free if name in walk.bound),
        bound=tuple(walk.bound),
    )


class _Scope:
    """A scope inside the cell: of a function, a class or a comprehension."""

    __slots__ = ("globals", "kind", "names")

    def __init__(self, kind: str, names: Iterable[str] = (), outside: Iterable[str] = ()) -> None:
        self.kind = kind
        self.names = set(names)
        self.globals = set(outside)


class _Walk(ast.NodeVisitor):
    """Visits in the order of evaluation and keeps what is certainly bound by then."""

    def __init__(self, known: set[str]) -> None:
        self.certain = set(known)
        self.bound: dict[str, None] = {}
        self.free: dict[str, None] = {}
        self.scopes: list[_Scope] = []

    # --- reading and binding

    def load(self, name: str) -> None:
        for scope in reversed(self.scopes):
            if name in scope.globals:
                break
            if name in scope.names:
                return
        if name not in self.certain:
            self.free.setdefault(name)

    def store(self, name: str, *, through_comprehensions: bool = False) -> None:
        for scope in reversed(self.scopes):
            if through_comprehensions and scope.kind == "comprehension":
                continue
            if name in scope.globals:
                self.bound.setdefault(name)  # when the function is called, if ever
                return
            scope.names.add(name)
            return
        self.bound.setdefault(name)
        self.certain.add(name)

    @contextmanager
    def scope(self, scope: _Scope) -> Iterator[None]:
        """Inside *scope*. Functions do not see the names of the classes around them."""
        outer = self.scopes
        if scope.kind == "function":
            self.scopes = [one for one in outer if one.kind != "class"]
        self.scopes = [*self.scopes, scope]
        yield
        self.scopes = outer

    @contextmanager
    def branch(self) -> Iterator[set[str]]:
        """Code that may not run; yields what is certain before it, restored after it."""
        before = set(self.certain)
        yield before
        self.certain = before

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # --- names and assignments

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.store(node.id)
            return
        self.load(node.id)
        if isinstance(node.ctx, ast.Del) and not self.scopes:
            self.certain.discard(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit_all([node.value, *node.targets])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.load(node.target.id)
        self.visit_all([node.value, node.target])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_all([node.annotation, node.value])
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.store(node.target.id, through_comprehensions=True)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.store(alias.asname or alias.name.split(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.store(alias.asname or alias.name)

    # --- branches

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        before = set(self.certain)
        self.visit_all(node.body)
        after_body, self.certain = self.certain, before
        self.visit_all(node.orelse)
        self.certain &= after_body

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        for side in (node.body, node.orelse):
            with self.branch():
                self.visit(side)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        with self.branch():
            self.visit_all(node.values[1:])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        with self.branch():
            self.visit_all([node.target, *node.body])
        with self.branch():
            self.visit_all(node.orelse)

    visit_AsyncFor = visit_For  # noqa: N815 - ast's own spelling

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        with self.branch():
            self.visit_all(node.body)
        with self.branch():
            self.visit_all(node.orelse)

    def visit_Try(self, node: ast.Try) -> None:
        with self.branch():
            self.visit_all([*node.body, *node.orelse])
        for handler in node.handlers:
            with self.branch():
                self.visit_all([handler.type])
                if handler.name:
                    self.store(handler.name)
                self.visit_all(handler.body)
        self.visit_all(node.finalbody)

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self.visit_Try(node)  # type: ignore[arg-type]  # the same fields

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        for case in node.cases:
            with self.branch():
                self.visit_all([case.pattern, case.guard, *case.body])

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.visit_all([node.pattern])
        if node.name:
            self.store(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.store(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.visit_all([*node.keys, *node.patterns])
        if node.rest:
            self.store(node.rest)

    # --- scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all(node.decorator_list)
        self.function(node, [*_annotations(node.args), node.returns])
        self.store(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.function(node, [])

    def function(self, node: FunctionNode, annotations: list[ast.expr | None]) -> None:
        """Defaults belong to the scope around; the body is read as if it ran at once."""
        self.visit_all([*node.args.defaults, *node.args.kw_defaults])
        body = node.body if isinstance(node.body, list) else [node.body]
        with self.scope(_Scope("comprehension", _type_parameters(node))):
            self.visit_all(annotations)
            local, outside = _locals(body)
            local.update(argument.arg for argument in _arguments(node.args))
            with self.scope(_Scope("function", local - outside, outside)):
                before = set(self.certain)
                self.visit_all(body)
                self.certain = before

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all(node.decorator_list)
        with self.scope(_Scope("comprehension", _type_parameters(node))):
            self.visit_all([*node.bases, *node.keywords])
            with self.scope(_Scope("class")):
                self.visit_all(node.body)
        self.store(node.name)

    def comprehension(self, node: ComprehensionNode) -> None:
        self.visit(node.generators[0].iter)
        with self.scope(_Scope("comprehension")):
            for number, generator in enumerate(node.generators):
                if number:
                    self.visit(generator.iter)
                self.visit_all([generator.target, *generator.ifs])
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            self.visit_all(parts)

    visit_ListComp = comprehension  # noqa: N815
    visit_SetComp = comprehension  # noqa: N815
    visit_GeneratorExp = comprehension  # noqa: N815
    visit_DictComp = comprehension  # noqa: N815


def _type_parameters(node: ast.AST) -> list[str]:
    """Names in square brackets after a function's or class's name (Python 3.12)."""
    return [parameter.name for parameter in getattr(node, "type_params", [])]


def _arguments(args: ast.arguments) -> list[ast.arg]:
    extra = [one for one in (args.vararg, args.kwarg) if one is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *extra]


def _annotations(args: ast.arguments) -> list[ast.expr | None]:
    return [argument.annotation for argument in _arguments(args)]


def _locals(body: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """(names that a function with this *body* binds, names it declares global)."""
    local: set[str] = set()
    outside: set[str] = set()
    todo = list(body)
    while todo:
        node = todo.pop()
        match node:
            case ast.Global(names=names):
                outside.update(names)
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                local.add(node.name)
                continue
            case ast.Lambda():
                continue
            case ast.Name(id=name, ctx=ast.Store()):
                local.add(name)
            case ast.Import() | ast.ImportFrom():
                local.update(one.asname or one.name.split(".")[0] for one in node.names)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                local.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                local.add(name)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                # Only `:=` binds outside a comprehension.
                local.update(
                    one.target.id for one in ast.walk(node) if isinstance(one, ast.NamedExpr)
                )
                continue
            case _:
                pass
        todo.extend(ast.iter_child_nodes(node))
    return local, outside
