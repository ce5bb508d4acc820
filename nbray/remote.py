"""`@remote`: functions and classes that run elsewhere.

Owns remote functions and the signature check shared with actors (`actor.py`
has the classes). Knows no engine: it hands a `Function`, arguments and options
to whichever one the session has. Rule: the path of `f.remote(...)` does no
more than a length check before the engine takes over.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nbray import session
from nbray.engine import Engine, Function
from nbray.exceptions import RaySystemError
from nbray.options import STREAMING, MethodOptions, RefusedDecoration, TaskOptions, task_options
from nbray.text import safe

Options = TypeVar("Options", TaskOptions, MethodOptions)


class Shape:
    """Which calls a signature accepts; cheap to ask for plain positional calls.

    Attributes:
        least, most: positional calls whose count lies between need no binding.
    """

    __slots__ = ("least", "most", "name", "signature")

    def __init__(self, call: Callable[..., Any], name: str, skip_first: bool = False) -> None:
        self.name = name
        self.signature: inspect.Signature | None = None
        self.least: float = 0
        self.most: float = math.inf
        try:
            signature = inspect.signature(call)
        except (ValueError, TypeError):
            return  # a builtin without a signature: the call itself will tell
        parameters = list(signature.parameters.values())
        if skip_first and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters = parameters[1:]
        self.signature = signature.replace(parameters=parameters)
        self.most = 0
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                self.most = math.inf
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                if parameter.default is inspect.Parameter.empty:
                    self.least = math.inf  # always bind: a plain positional call is an error
            elif parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                self.most += 1
                if parameter.default is inspect.Parameter.empty:
                    self.least += 1

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse a call that cannot succeed.

        Raises:
            TypeError: as a plain call of the function would.
        """
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None


def source_of(call: Callable[..., Any]) -> str:
    """The text of the file that defines *call* where that is no file on disk, else ''.

    Notebook cells live in `linecache` only; workers need them for tracebacks.
    """
    code = getattr(inspect.unwrap(call), "__code__", None)
    if code is None or code.co_filename not in linecache.cache:
        return ""
    if Path(code.co_filename).exists():
        return ""
    return "".join(linecache.getlines(code.co_filename))


def short_name(call: Any) -> str:
    """How people call it: its qualified name without the scopes it was defined in."""
    name = getattr(call, "__qualname__", None) or type(call).__name__
    return safe(str(name)).rsplit("<locals>.", 1)[-1]


def is_generator(call: Callable[..., Any]) -> bool:
    """Whether calling *call* makes a generator."""
    while isinstance(call, (functools.partial, functools.partialmethod)):
        call = call.func
    plain = inspect.unwrap(call)
    return inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain)


def streaming(
    call: Callable[..., Any], given: Mapping[str, Any], options: Options, what: str = "function"
) -> Options:
    """*options* with the number of returns of *call*: a generator streams if nothing else is given.

    Raises:
        ValueError: it is to stream what it returns, and is no generator.
    """
    said = given.get("num_returns")
    if said is None or isinstance(said, str):
        generator = is_generator(call)
        if said is None and generator and ("num_returns" in given or options.num_returns == 1):
            return msgspec.structs.replace(options, num_returns=STREAMING)
        if said is not None and not generator:
            raise ValueError(
                f"num_returns={said!r} can only be used with generator functions (functions that "
                f"use 'yield'). The decorated {what} is not a generator function."
            )
    return options


def require_streams(engine: Engine, name: str) -> None:
    """Refuse to start a generator where it would not be one.

    Raises:
        RaySystemError: the engine has no streams.
    """
    if not engine.capabilities.streams:
        raise RaySystemError(
            f"{name} is a generator, and the {engine.capabilities.name} engine has none: "
            "use nbray.init(engine='native')"
        )


def refuse_generators(call: Callable[..., Any]) -> None:
    """Refuse functions whose call is not their result.

    Raises:
        ValueError: *call* is a generator function or a coroutine function.
    """
    if is_generator(call):
        raise ValueError(f"{short_name(call)} is a generator: have it return a list")
    refuse_coroutines(call)


def refuse_coroutines(call: Callable[..., Any]) -> None:
    """Refuse functions that would have to be awaited.

    Raises:
        ValueError: *call* is a coroutine function.
    """
    if inspect.iscoroutinefunction(inspect.unwrap(call)):
        raise ValueError(
            f"{short_name(call)} is an async function; 'async def' should not be used for remote "
            "tasks, only methods of actors may be async: make it a plain function that calls "
            "asyncio.run(...)"
        )


class RemoteFunction:
    """A function that runs as a task: call it with `.remote(...)`, resolve with `get`.

    `.options(num_cpus=2).remote(...)` changes options for one call. The plain
    function is `._function`.
    """

    remote: Callable[..., Any]
    """Start a task. Returns an `ObjectRef` (a list of n for `num_returns=n`, None for 0).

    A generator function's `remote` returns an `ObjectRefGenerator`, unless `num_returns` says
    otherwise.

    Raises `TypeError` at once for arguments that the function does not accept or
    that cannot be pickled.
    """

    def __init__(
        self, call: Callable[..., Any], options: TaskOptions, target: Function | None = None
    ) -> None:
        self._function = call
        self._options = options
        self._default_options: dict[str, Any] = {}
        """What `@remote` was given."""
        self._target = target or Function(call, short_name(call), source_of(call))
        functools.update_wrapper(self, call)
        self.remote = _launcher(self._target, options)

    def options(self, **given: Any) -> RemoteFunction:
        """The same function with other options.

        Raises:
            ValueError: an unknown option or a value out of range.
            TypeError: a value of the wrong kind.
        """
        if "max_calls" in given:
            raise ValueError(
                "setting 'max_calls' is not supported in '.options()': write "
                "@nbray.remote(max_calls=...)"
            )
        options = task_options(given, self._options)
        if "num_returns" in given:
            options = streaming(self._function, given, options)
        return RemoteFunction(self._function, options, self._target)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """The call as a node of a graph, which `execute()` runs (see `nbray.dag`)."""
        from nbray.dag.function_node import FunctionNode

        return FunctionNode(self, args, kwargs)

    def _remote(
        self, args: Any = None, kwargs: Any = None, **given: Any
    ) -> Any:
        """As `.options(**given).remote(*args, **kwargs)`."""
        call = self.options(**given) if given else self
        return call.remote(*(args or ()), **(kwargs or {}))

    @property
    def _num_returns(self) -> int | str | None:
        """What `@remote` was given, by Ray's name; None: as the function has it."""
        return self._default_options.get("num_returns")

    @property
    def _function_name(self) -> str:
        """The function's module and name."""
        return f"{self.__module__}.{self._target.name}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"remote functions cannot be called directly: instead of {self._target.name}(...), "
            f"write {self._target.name}.remote(...)"
        )

    def __repr__(self) -> str:
        return f"RemoteFunction({self._target.name})"

    def __reduce__(self) -> Any:
        return _restore_function, (
            self._function,
            self._target.name,
            self._target.source,
            self._options,
        )


def _launcher(target: Function, options: TaskOptions) -> Callable[..., Any]:
    """The `remote` of a function: a closure, because it is the hottest call there is."""
    shape: Shape | None = None
    least, most = 1.0, 0.0  # nothing fits: the first call reads the signature
    returns = options.num_returns
    current = session.current

    def remote(*args: Any, **kwargs: Any) -> Any:
        nonlocal shape, least, most
        if kwargs or not least <= len(args) <= most:
            if shape is None:
                # Late, because a function that refers to itself is unpickled in two steps.
                shape = Shape(target.call, target.name)
                least, most = shape.least, shape.most
            shape.check(args, kwargs)
        engine = current() or session.require(args, kwargs, target.call)
        refs = engine.submit(target, args, kwargs, options)
        if returns == 1:
            return refs[0]
        return refs if returns else None

    def stream(*args: Any, **kwargs: Any) -> Any:
        require_streams(current() or session.require(args, kwargs, target.call), target.name)
        return remote(*args, **kwargs)[0]

    chosen = remote if returns >= 0 else stream
    functools.update_wrapper(chosen, target.call)
    return chosen


def _restore_function(
    call: Callable[..., Any], name: str, source: str, options: TaskOptions
) -> RemoteFunction:
    return RemoteFunction(call, options, Function(call, name, source))


def remote(*args: Any, **options: Any) -> Any:
    """Make a function or class remote: `@remote`, or `@remote(num_cpus=2)`.

    Options of functions: num_cpus, num_gpus, memory, resources, num_returns,
    max_retries, retry_exceptions, max_calls, name. Of classes: the same resources, name,
    namespace, get_if_exists, lifetime, max_restarts, max_task_retries,
    max_concurrency, max_pending_calls, concurrency_groups, allow_out_of_order_execution.

    Raises:
        ValueError: an unknown option or a value out of range.
        TypeError: a value of the wrong kind, or not a function or class.
        AssertionError: neither a function or class alone, nor options alone.
    """
    if len(args) == 1 and not options and callable(args[0]):
        return _make(args[0], {})
    if args:
        raise RefusedDecoration(
            "@remote takes a function or class, or options by keyword only: "
            "@nbray.remote or @nbray.remote(num_cpus=2)"
        )
    if not options:
        raise RefusedDecoration("@remote() without options: write @nbray.remote")
    return functools.partial(_make, given=options)


def _make(thing: Any, given: Mapping[str, Any]) -> Any:
    from nbray.actor import ActorClass, make_actor_class

    if isinstance(thing, (RemoteFunction, ActorClass)):
        raise TypeError(f"{thing!r} is remote already; use .options(...) to change its options")
    if inspect.isclass(thing):
        if missing := getattr(thing, "__abstractmethods__", None):
            raise TypeError(
                f"@remote: Can't instantiate abstract class {thing.__name__}: it lacks "
                + ", ".join(sorted(missing))
            )
        return make_actor_class(thing, given)
    if not (inspect.isroutine(thing) or isinstance(thing, functools.partial)):
        raise TypeError(
            "@remote takes a function or a class: it must be applied to either a function or a "
            f"class, not to {type(thing).__name__}"
        )
    refuse_coroutines(thing)
    made = RemoteFunction(thing, streaming(thing, given, task_options(given)))
    made._default_options = dict(given)
    return made


def _restore_handle(info: Any, life: Any) -> Any:
    """Make a handle from what a pickled one carries (named by every pickled handle)."""
    from nbray.actor import ActorHandle

    return ActorHandle(info, life)
