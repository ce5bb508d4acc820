"""Actors as users hold them: classes, handles, methods.

Owns `ActorClass`, `ActorHandle` and `ActorMethod` (Ray's names). Knows no
engine: what runs behind a handle is named by an `ActorInfo`, and kept alive by
the life reference that each handle holds. Rule: a handle holds no cycle, so
that the last one's end is noticed at once.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from nbray import session
from nbray.actor_methods import ActorClassInheritanceException, exit_actor, extended
from nbray.engine import ActorInfo, Engine, Function
from nbray.exceptions import RaySystemError, reference_ended
from nbray.ids import HexId
from nbray.options import (
    STREAMING,
    ActorOptions,
    MethodOptions,
    RefusedDecoration,
    actor_options,
    did_you_mean,
    method_options,
)
from nbray.refs import ObjectRef
from nbray.remote import (
    Shape,
    _restore_handle,
    is_generator,
    require_streams,
    short_name,
    source_of,
    streaming,
)

__all__ = [
    "ActorClass", "ActorClassInheritanceException", "ActorHandle", "ActorMethod", "exit_actor",
    "make_actor_class", "method",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
_DEFAULTS = MethodOptions()
REPLACE_SECONDS = 5.0
"""How long the name of an actor that gives way may stay taken."""
_MARK = "__nbray_method_options__"


def method(*args: Any, **given: Any) -> Any:
    """Set a method's defaults: `@nbray.method(num_returns=2)`.

    Options: num_returns, max_task_retries, retry_exceptions, name, concurrency_group. A method
    under `@nbray.method` alone is what it was.

    Raises:
        ValueError: an unknown option or a value out of range.
        TypeError: a value of the wrong kind, or options that are not given by keyword.
        AssertionError: as Ray does, for an unknown option, or one not given by keyword.
    """
    if len(args) == 1 and callable(args[0]) and not given:
        return args[0]
    if args:
        raise RefusedDecoration("@method takes options by keyword: @nbray.method(num_returns=2)")
    options = method_options(given)

    def mark(function: F) -> F:
        setattr(function, _MARK, streaming(function, given, options, "method"))
        return function

    return mark


_CACHED = type(functools.lru_cache(len))
"""What `functools.cache` and `lru_cache` make of a method."""


class _Blueprint:
    """What is read from a class once: its methods, their signatures and defaults."""

    __slots__ = ("generators", "is_async", "methods", "shapes", "signatures", "start", "target")

    def __init__(self, cls: type) -> None:
        name = short_name(cls)
        self.target = Function(extended(cls), name, _class_source(cls))
        self.start = Shape(cls, name)
        self.methods: dict[str, MethodOptions] = {}
        self.shapes: dict[str, Shape] = {}
        self.signatures: dict[str, str] = {}
        self.is_async = inspect.iscoroutinefunction(
            inspect.unwrap(inspect.getattr_static(cls, "__init__"))
        )
        generators: list[str] = []
        for method_name in dir(self.target.call):
            found = inspect.getattr_static(self.target.call, method_name)
            if isinstance(found, (functools.partialmethod, functools.singledispatchmethod)):
                found = getattr(self.target.call, method_name)
            bound = isinstance(found, (classmethod, staticmethod))
            plain = found.__func__ if bound else found
            if method_name in {"__init__", "__new__"} or not (
                inspect.isfunction(plain) or isinstance(plain, _CACHED)
            ):
                continue
            unwrapped = inspect.unwrap(plain)
            if is_generator(plain):
                generators.append(method_name)
            self.is_async = self.is_async or (
                inspect.iscoroutinefunction(unwrapped) or inspect.isasyncgenfunction(unwrapped)
            )
            shape = Shape(plain, f"{name}.{method_name}", not isinstance(found, staticmethod))
            marked = getattr(plain, _MARK, None)
            self.methods[method_name] = marked or streaming(plain, {}, _DEFAULTS)
            self.shapes[method_name] = shape
            self.signatures[method_name] = (
                f"{shape.signature or '(...)'}\n\n{inspect.getdoc(plain) or ''}".rstrip()
            )
        self.generators = tuple(generators)


class ActorClass:
    """A class whose instances live in processes of their own: make one with `.remote(...)`.

    The plain class is `._class`.
    """

    remote: Callable[..., ActorHandle]
    """Create an actor; returns its handle at once.

    Raises `TypeError` for arguments that `__init__` does not accept or that
    cannot be pickled, `ValueError` for a name that is taken.
    """

    def __init__(
        self, cls: type, options: ActorOptions, blueprint: _Blueprint | None = None
    ) -> None:
        self._class = cls
        self._options = options
        self._default_options: dict[str, Any] = {}
        """What `@remote` was given."""
        self._known = blueprint
        self._name = short_name(cls)
        for trait in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, trait, getattr(cls, trait))
        self.__wrapped__ = cls
        self.remote = _creator(self._blueprint, options)
        self.remote.__doc__ = cls.__doc__
        if blueprint is not None:
            self.remote.__signature__ = blueprint.start.signature  # type: ignore[attr-defined]

    def _blueprint(self) -> _Blueprint:
        if self._known is None:
            # Late, because a class that refers to itself is unpickled in two steps.
            self._known = _Blueprint(self._class)
        return self._known

    @property
    def _target(self) -> Function:
        """The class as engines see it."""
        return self._blueprint().target

    def options(self, **given: Any) -> ActorClass:
        """The same class with other options; raises as `remote` does."""
        if "concurrency_groups" in given:
            raise ValueError("setting 'concurrency_groups' is not supported in '.options()'")
        return ActorClass(self._class, actor_options(given, self._options), self._blueprint())

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """The actor as a node of a graph, which `execute()` runs (see `nbray.dag`).

        Raises:
            ValueError: an `InputNode` is among the arguments.
        """
        from nbray.dag.class_node import ClassNode

        return ClassNode(self, args, kwargs)

    def _remote(self, args: Any = None, kwargs: Any = None, **given: Any) -> ActorHandle:
        """As `.options(**given).remote(*args, **kwargs)`."""
        made = self.options(**given) if given else self
        return made.remote(*(args or ()), **(kwargs or {}))

    @property
    def __ray_actor_class__(self) -> type:
        """The plain class, by Ray's name."""
        return self._class

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        name = self._name
        raise TypeError(
            f"actors cannot be instantiated directly: instead of {name}(...), "
            f"write {name}.remote(...)"
        )

    def __getattr__(self, name: str) -> Any:
        """Constants and the like of the plain class."""
        cls = self.__dict__.get("_class")
        if cls is None or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        try:
            return getattr(cls, name)
        except AttributeError:
            text = f"'ActorClass({self._name})' object has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=self) from None

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        raise ActorClassInheritanceException(
            f"{self._name} is an actor class and cannot be inherited from (Inheriting from actor "
            "classes is not currently supported): "
            "inherit from the plain class and make that one remote"
        )

    def __repr__(self) -> str:
        return f"ActorClass({self._name})"

    def __reduce__(self) -> Any:
        return ActorClass, (self._class, self._options)


class ActorHandle:
    """A name for a living actor; its methods are attributes: `handle.method.remote(...)`.

    Handles travel: pass them to tasks and other actors. The actor ends when the
    last handle is gone, unless it is detached.
    """

    __slots__ = ("__dict__", "__weakref__", "_info", "_life", "_shapes")

    def __init__(
        self, info: ActorInfo, life: ObjectRef[Any], shapes: Mapping[str, Shape] | None = None
    ) -> None:
        self._info = info
        self._life = life
        self._shapes = shapes or {}

    def __getattr__(self, name: str) -> ActorMethod:
        options = self._info.methods.get(name)
        if options is None:
            hint = did_you_mean(name, self._info.methods)
            raise AttributeError(
                f"actor {self._info.class_name!r} has no method {name!r}{hint} "
                f"('ActorHandle' object has no attribute {name!r})"
            )
        return ActorMethod(self._info, self._life, name, options, self._shapes.get(name))

    def __dir__(self) -> list[str]:
        return [name for name in self._info.methods if not name.startswith("__")]

    def __repr__(self) -> str:
        return f"Actor({self._info.class_name}, {self._info.hex()})"

    def __hash__(self) -> int:
        return hash(self._info.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and self._info.hex() == other._info.hex()

    def __reduce__(self) -> Any:
        return _restore_handle, (self._info, self._life)

    @property
    def _actor_id(self) -> HexId:
        return HexId(self._info.hex())

    _ray_actor_id = _actor_id


def _ended(info: ActorInfo, life: ObjectRef[Any]) -> RaySystemError:
    """What using the handle of an actor raises where its cluster has ended."""
    what = f"the actor {info.class_name} ({info.hex()})"
    return reference_ended(what, getattr(life._engine, "ended", ""))


class ActorMethod:
    """One method of one actor: `.remote(...)` calls it, `.options(...)` changes how."""

    __slots__ = ("_info", "_life", "_name", "_options", "_shape")

    def __init__(
        self,
        info: ActorInfo,
        life: ObjectRef[Any],
        name: str,
        options: MethodOptions,
        shape: Shape | None,
    ) -> None:
        self._info = info
        self._life = life
        self._name = name
        self._options = options
        self._shape = shape

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the method; calls of one caller run in the order they were made.

        Returns an `ObjectRef` (a list of n for `num_returns=n`, None for 0; of a generator an
        `ObjectRefGenerator`, unless `num_returns` says otherwise).

        Raises:
            TypeError: the method does not accept these arguments, or one cannot be pickled.
            PendingCallsLimitExceeded: more than `max_pending_calls` wait already.
        """
        shape = self._shape
        if shape is not None and (kwargs or not shape.least <= len(args) <= shape.most):
            shape.check(args, kwargs)
        options = self._options
        engine = session.current()
        if engine is None:
            raise _ended(self._info, self._life)
        if options.num_returns < 0:
            require_streams(engine, f"{self._info.class_name}.{self._name}")
        refs = engine.actors.call(
            self._info, self._life, self._name, args, kwargs, options
        )
        if options.num_returns == 1 or options.num_returns < 0:
            return refs[0]
        return refs if options.num_returns else None

    def options(self, **given: Any) -> ActorMethod:
        """The same method with other options; raises as `method` does."""
        group = given.get("concurrency_group")
        if group and group not in self._info.groups:
            raise ValueError(f"{self._info.class_name} has no concurrency group {group!r}")
        options = method_options(given, self._options)
        said = given.get("num_returns", 1)
        if self._name in self._info.generators:
            if said is None:
                options = msgspec.structs.replace(options, num_returns=STREAMING)
        elif isinstance(said, str):
            raise ValueError(
                f"num_returns={said!r} can only be used with generator functions (functions that "
                f"use 'yield'). The method {self._name} is not a generator."
            )
        return ActorMethod(self._info, self._life, self._name, options, self._shape)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """The call as a node of a graph (of several returns, a tuple of nodes)."""
        from nbray.dag.class_node import bound_call

        return bound_call(self, args, kwargs)

    def _remote(self, args: Any = None, kwargs: Any = None, **given: Any) -> Any:
        """As `.options(**given).remote(*args, **kwargs)`."""
        call = self.options(**given) if given else self
        return call.remote(*(args or ()), **(kwargs or {}))

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"actor methods cannot be called directly: instead of {self._name}(...), "
            f"write {self._name}.remote(...)"
        )

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self._info.signatures.get(self._name)

    @property
    def __signature__(self) -> inspect.Signature | None:
        return self._shape.signature if self._shape is not None else None

    def __repr__(self) -> str:
        return f"ActorMethod({self._info.class_name}.{self._name})"


def make_actor_class(cls: type, given: Mapping[str, Any]) -> ActorClass:
    """The actor class of a plain class; raises as `nbray.remote` does."""
    options, blueprint = actor_options(given), _Blueprint(cls)
    for name, method_options_ in blueprint.methods.items():
        group = method_options_.concurrency_group
        if group and group not in options.concurrency_groups:
            raise RefusedDecoration(
                f"{blueprint.target.name}.{name} is of the concurrency group {group!r}, which the "
                f"class does not have: @nbray.remote(concurrency_groups={{{group!r}: 2}})"
            )
    made = ActorClass(cls, options, blueprint)
    made._default_options = dict(given)
    return made


def _methods(blueprint: _Blueprint, options: ActorOptions) -> dict[str, MethodOptions]:
    """The methods: with what the class says of their calls, and of unread returns."""
    methods, most = blueprint.methods, options.most_unread
    if not options.listed:
        methods = {n: msgspec.structs.replace(one, listed=False) for n, one in methods.items()}
    if not most:
        return methods
    return {
        name: msgspec.structs.replace(one, most_unread=min(one.most_unread or most, most))
        if name in blueprint.generators else one
        for name, one in methods.items()
    }  # fmt: skip


def _creator(
    read: Callable[[], _Blueprint], options: ActorOptions
) -> Callable[..., ActorHandle]:
    def remote(*args: Any, **kwargs: Any) -> ActorHandle:
        blueprint = read()
        start = blueprint.start
        if kwargs or not start.least <= len(args) <= start.most:
            start.check(args, kwargs)
        described = ActorInfo(
            actor=0,
            owner=0,
            class_name=blueprint.target.name,
            methods=_methods(blueprint, options),
            is_async=blueprint.is_async,
            max_task_retries=options.max_task_retries,
            max_pending_calls=options.max_pending_calls,
            signatures=blueprint.signatures,
            generators=blueprint.generators,
            groups=tuple(options.concurrency_groups),
            unordered=_unordered(options, blueprint),
        )
        engine = session.current() or session.require(args, kwargs, blueprint.target.call)
        chosen = options
        if session.detaches and options.lifetime == "":
            chosen = msgspec.structs.replace(options, lifetime="detached")

        def create() -> tuple[ActorInfo, ObjectRef[Any]]:
            return engine.actors.create(blueprint.target, args, kwargs, chosen, described)

        made = create() if not options.name else _named(engine, create, chosen, described)
        return ActorHandle(*made, blueprint.shapes)

    return remote


def _unordered(options: ActorOptions, blueprint: _Blueprint) -> bool:
    """Whether calls may overtake others that wait for their arguments.

    Raises:
        ValueError: they may not, by the options, but the class is asynchronous.
    """
    wanted = options.allow_out_of_order_execution
    if wanted is False and blueprint.is_async:
        raise ValueError(
            f"{blueprint.target.name} has async methods, so its calls cannot be executed in order: "
            "set allow_out_of_order_execution=True, or leave it out"
        )
    several = options.max_concurrency > 1 or bool(options.concurrency_groups)
    return (blueprint.is_async or several) if wanted is None else wanted


def _named(
    engine: Engine, create: Callable[[], tuple[ActorInfo, ObjectRef[Any]]],
    options: ActorOptions, described: ActorInfo,
) -> tuple[ActorInfo, ObjectRef[Any]]:  # fmt: skip
    """Create a named actor; one that an earlier run of a notebook's cell has made gives way.

    Raises:
        ValueError: the name is taken, and by another actor than that.
    """
    cell = session.cell.get()
    key = (options.namespace, options.name)
    makers = session.named_actors
    deadline = time.monotonic() + REPLACE_SECONDS
    ended = False
    while True:
        try:
            made = create()
        except ValueError:
            before = makers.get(key, "")
            if not cell or not before or (before == cell and not ended):
                raise
            if options.lifetime == "detached" or time.monotonic() > deadline:
                raise
            if not ended:
                try:
                    old, _ = engine.actors.named(options.name, options.namespace)
                except ValueError:  # it has just ended
                    continue
                if not engine.actors.owns(old) or old.class_name != described.class_name:
                    raise
                engine.actors.kill(old, no_restart=True)
                ended = True
            time.sleep(0.002)
        else:
            if cell:
                makers[key] = cell
            return made


def _class_source(cls: type) -> str:
    for member in vars(cls).values():
        if inspect.isfunction(member):
            return source_of(member)
    return ""
