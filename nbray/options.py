"""What a task or an actor may ask for: frozen options and one validation table.

Owns the names, defaults and checks of Ray's options. Does not own what they
mean: brains read the frozen result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from nbray.config import MOST_NAME
from nbray.text import safe
from nbray.where import Where, check_bundles, placed

UNIT = 10_000
"""Resources are counted in ten-thousandths, so that sums of fractions are exact."""

STREAMING, DYNAMIC = -1, -2
"""Numbers of returns that say: each is given as it is yielded; one object names them all at the
end."""
BARE = "none"
"""Instead of a runtime environment: none, not even the job's."""
_RETURNS = {"streaming": STREAMING, "dynamic": DYNAMIC}

_MOST = 2**62
"""No machine has this much of anything, and messages carry 64-bit integers."""

class RefusedValue(TypeError, ValueError):
    """A value that is neither of the right kind nor in range."""


class RefusedDecoration(AssertionError, TypeError, ValueError):
    """`@remote` or `@method` in a form that there is not; Ray raises an `AssertionError`."""


RetryOn = bool | tuple[type[BaseException], ...]


class TaskOptions(msgspec.Struct, frozen=True, gc=False):
    """Options of a remote function. Resources are in units, not ten-thousandths."""

    num_cpus: float = 1
    num_gpus: float = 0
    memory: int = 0
    resources: Mapping[str, float] = {}
    num_returns: int = 1
    """Or `STREAMING`, `DYNAMIC`."""
    max_retries: int = 3
    retry_exceptions: RetryOn = False
    name: str = ""
    node: int = 0
    """Run on this node only (0: anywhere)."""
    max_calls: int = 0
    """A worker ends after so many tasks of the function (0: it stays)."""
    runtime_env: str = ""
    """JSON; '': that of where it is submitted (see `nbray.runtime_env`)."""
    accelerator_type: str = ""
    where: Where | None = None
    """A scheduling strategy, or a selector of labels."""
    counted: bool = True
    """False: whoever submits the task counts what it does (see `Cells.count`)."""
    most_unread: int = 0
    """With so many returns not taken, a task that streams them pauses (0: never)."""
    listed: bool = True
    """False: the state API says nothing of it."""


_but_resources = attrgetter(*(n for n in TaskOptions.__struct_fields__ if n != "resources"))


def spec_key(options: TaskOptions) -> tuple[Any, ...]:
    """What tells one kind of task from another: every option there is, so that none is forgotten.

    Resources are the one option that cannot be hashed as it is.
    """
    known: tuple[Any, ...] = _but_resources(options)
    resources = options.resources
    return (*known, *sorted(resources.items())) if resources else known


class ActorOptions(msgspec.Struct, frozen=True, gc=False):
    """Options of an actor class. `num_cpus=None` means: none while it lives."""

    num_cpus: float | None = None
    num_gpus: float = 0
    memory: int = 0
    resources: Mapping[str, float] = {}
    name: str = ""
    namespace: str = ""
    get_if_exists: bool = False
    lifetime: str = ""
    max_restarts: int = 0
    max_task_retries: int = 0
    max_concurrency: int = 0
    """0: one at a time, or 1,000 if the class has `async def` methods."""
    max_pending_calls: int = -1
    node: int = 0
    concurrency_groups: Mapping[str, int] = {}
    """How many calls of each group run at once; what is in none shares `max_concurrency`."""
    allow_out_of_order_execution: bool | None = None
    """Calls whose arguments are ready go before others (None: where several run at once)."""
    runtime_env: str = ""
    """JSON; '': that of where it is created; `BARE`: none at all."""
    accelerator_type: str = ""
    where: Where | None = None
    object_store_memory: int = 0
    """Bytes of the store of its node that no other actor is given; nothing bounds what it puts."""
    most_unread: int = 0
    """What its generator methods have at most as `MethodOptions` have it (0: as they say)."""
    listed: bool = True
    """False: for all its calls, what `MethodOptions` have it for one."""


class MethodOptions(msgspec.Struct, frozen=True, gc=False):
    """Options of one actor method call."""

    num_returns: int = 1
    """Or `STREAMING`, `DYNAMIC`."""
    max_task_retries: int = -2
    """-2: the actor's own."""
    retry_exceptions: RetryOn = False
    name: str = ""
    concurrency_group: str = ""
    most_unread: int = 0
    """See `TaskOptions`."""
    listed: bool = True
    """See `TaskOptions`."""
    counted: bool = True
    """See `TaskOptions`."""
    expendable: bool = False
    """To cancel the call with force, the actor may be killed."""


def number(minimum: float = 0) -> Callable[[str, Any], Any]:
    """What checks a finite number; as the others here: (name, value) -> value, or raises."""

    def check(name: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a number, not {type(value).__name__}")
        if not minimum <= value < math.inf:
            raise ValueError(
                f"{name} must be a finite number of at least {minimum:g}, not {value}"
                + (": a quantity cannot be negative" if value < 0 else "")
            )
        return value

    return check


def _quantity(name: str, value: Any) -> Any:
    """Checks an amount of a resource: they are counted in ten-thousandths."""
    number()(name, value)
    if value and value * UNIT < 1:
        raise ValueError(
            f"{name}: the precision of a fractional quantity cannot go beyond {1 / UNIT:g}, "
            f"and this is {value}"
        )
    return value


def _gpus(name: str, value: Any) -> Any:
    """Checks an amount of GPUs: one is shared, or several are whole."""
    _quantity(name, value)
    if value > 1 and value != int(value):
        raise ValueError(f"{name}: quantities of GPUs >1 must be whole numbers, not {value}")
    return value


def _optional(inner: Callable[[str, Any], Any], default: Any) -> Callable[[str, Any], Any]:
    return lambda name, value: default if value is None else inner(name, value)


def integer(minimum: int) -> Callable[[str, Any], Any]:
    """What checks a whole number; one that no counter reaches is as good as `_MOST`."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}, not {value}")
        return min(value, _MOST)

    return check


def text_of(name: str, value: Any) -> str:
    """A text as it is shown."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    return safe(value)


def found_by(name: str, value: Any) -> str:
    """A name by which something is looked up: it travels as it is, and is bounded."""
    text = text_of(name, value)
    if len(text) > MOST_NAME:
        raise ValueError(f"{name} must have at most {MOST_NAME:,} characters, not {len(text):,}")
    return text


def _not_empty(name: str, value: Any) -> str:
    if value == "":
        raise ValueError(f"{name}: an actor's {name} cannot be an empty string; None is for none")
    return found_by(name, value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def _resources(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dictionary of name to amount")
    for key, amount in value.items():
        if not isinstance(key, str) or not key:
            raise TypeError(f"{name}: a resource's name must be a non-empty string, not {key!r}")
        if len(key) > MOST_NAME:
            raise ValueError(
                f"{name}: a resource's name must have at most {MOST_NAME:,} characters, "
                f"not {len(key):,}"
            )
        if key in {"CPU", "GPU", "memory"}:
            raise ValueError(
                f"{name}: use num_cpus, num_gpus or memory instead of {key!r} in resources"
            )
        _quantity(f"{name}[{key!r}]", amount)
    return {safe(key): float(amount) for key, amount in value.items() if amount}


def _environment(_name: str, value: Any) -> str:
    from nbray.runtime_env import text_of as environment  # late: few give one

    return environment(value)


def _retry_on(name: str, value: Any) -> RetryOn:
    if isinstance(value, bool):
        return value
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be True, False or a list of exception classes")
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in value):
        raise RefusedValue(
            f"{name} must be either a boolean or a list of exceptions: subclasses of Exception"
        )
    return tuple(value)


def returns(name: str, value: Any) -> int:
    """How many returns; 'streaming' and 'dynamic' are `STREAMING` and `DYNAMIC`."""
    if isinstance(value, str) and value in _RETURNS:
        return _RETURNS[value]
    checked: int = integer(0)(name, value)
    return checked


def _most_unread(name: str, value: Any) -> int:
    checked: int = integer(-1)(name, value)
    if not checked:
        raise ValueError(f"{name}=0 is not allowed. Use a value > 0, or -1 for any number")
    return max(0, checked)


def _lifetime(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string or None, not {type(value).__name__}")
    if value not in ("detached", "non_detached"):  # the latter where a job's are detached
        raise ValueError(f"{name} must be 'detached', 'non_detached' or None, not {value!r}")
    return value


def _groups(name: str, value: Any) -> dict[str, int]:
    if not value and isinstance(value, (Mapping, list)):
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dictionary of name to number of calls")
    count = integer(1)
    return {found_by(name, key): count(f"{name}[{key!r}]", most) for key, most in value.items()}


def _no_store(name: str, value: Any) -> None:
    if value is not None:
        raise ValueError(f"Setting {name!r} is not implemented for tasks")


def _mapping(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dictionary or None, not {type(value).__name__}")
    return value


def _method_retry_on(name: str, value: Any) -> RetryOn:
    try:
        return _retry_on(name, value)
    except (TypeError, ValueError) as error:  # an assertion in Ray
        raise RefusedDecoration(str(error)) from None


def _one_a_yield(name: str, value: Any) -> None:
    if value is not None and integer(1)(name, value) > 1:
        raise ValueError(f"{name}: a yield gives one object: yield {value} times instead")


def _object_store(name: str, value: Any) -> None:
    if value is not None:
        raise ValueError(f"{name}: values travel through the object store only, not by {value!r}")


_PACE = "_generator_backpressure_num_objects"
_ACTOR_PACE = "_actor_generator_backpressure_num_objects"
_LISTED = "enable_task_events"
_FIELDS = {_PACE: "most_unread", _ACTOR_PACE: "most_unread", _LISTED: "listed"}
"""Options that are called otherwise where they are kept."""
_RESOURCES = {
    "num_gpus": _optional(_gpus, 0),
    "memory": _optional(_quantity, 0),
    "accelerator_type": _optional(text_of, ""),
    "resources": _optional(_resources, {}),
    "name": _optional(text_of, ""),
    "node": _optional(integer(0), 0),
    "runtime_env": _environment,
    _LISTED: _flag,
}
_TASK: dict[str, Callable[[str, Any], Any]] = {
    **_RESOURCES,
    "num_cpus": _optional(_quantity, 1),
    "num_returns": _optional(returns, 1),
    _PACE: _optional(_most_unread, 0),
    "max_retries": _optional(integer(-1), 3),
    "retry_exceptions": _retry_on,
    "max_calls": _optional(integer(0), 0),
    "object_store_memory": _no_store,
}
_ACTOR: dict[str, Callable[[str, Any], Any]] = {
    **_RESOURCES,
    "num_cpus": _optional(_quantity, None),
    "name": _optional(_not_empty, ""),
    "namespace": _optional(_not_empty, ""),
    "get_if_exists": _flag,
    "lifetime": _lifetime,
    "max_restarts": _optional(integer(-1), 0),
    "max_task_retries": _optional(integer(-1), 0),
    "max_concurrency": _optional(integer(0), 0),
    "max_pending_calls": _optional(integer(-1), -1),
    "concurrency_groups": _optional(_groups, {}),
    "allow_out_of_order_execution": _optional(_flag, None),
    "object_store_memory": _optional(integer(0), 0),
    _ACTOR_PACE: _optional(_most_unread, 0),
}
_METHOD: dict[str, Callable[[str, Any], Any]] = {
    "num_returns": _optional(returns, 1),
    _PACE: _optional(_most_unread, 0),
    "max_task_retries": _optional(integer(-1), -2),
    "retry_exceptions": _optional(_method_retry_on, False),
    "name": _optional(text_of, ""),
    "concurrency_group": _optional(found_by, ""),
    _LISTED: _optional(_flag, True),
}
_WITHOUT_EFFECT: dict[str, Callable[[str, Any], Any]] = {
    "_labels": _mapping,
    "enable_tensor_transport": _optional(_flag, None),
    "tensor_transport": _object_store,
    "_num_objects_per_yield": _one_a_yield,
}
"""Ray's options that are checked, and change nothing here."""
_OF_SOME = {
    "enable_tensor_transport": "an actor class", "tensor_transport": "an actor method",
}  # fmt: skip
"""Those of them that are for one kind of thing only."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """"; did you mean 'num_cpus'?", the end of an error about *word*; '' if nothing is like it."""
    import difflib  # late: it takes a millisecond

    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _checked(
    what: str, table: Mapping[str, Callable[[str, Any], Any]], given: Mapping[str, Any],
    refusal: type[Exception] = ValueError,
) -> dict[str, Any]:  # fmt: skip
    checked = {}
    for name, value in given.items():
        check = table.get(name)
        if check is not None:
            checked[_FIELDS.get(name, name)] = check(name, value)
        elif name in _WITHOUT_EFFECT and _OF_SOME.get(name, what) == what:
            _WITHOUT_EFFECT[name](name, value)
        else:
            raise refusal(
                f"unknown option {name!r} for {what}{did_you_mean(name, table)} "
                f"(Invalid option keyword; valid ones are {', '.join(sorted(table))})"
            )
    return checked


def task_options(given: Mapping[str, Any], base: TaskOptions | None = None) -> TaskOptions:
    """Validate *given* over *base*.

    Raises:
        ValueError: an unknown option or a value out of range.
        TypeError: a value of the wrong kind.
    """
    base = base or TaskOptions()
    rest, where = placed(given, base.where)
    checked = _checked("a remote function", _TASK, rest)
    checked.pop("object_store_memory", None)  # it can only be None
    options = msgspec.structs.replace(base, where=where, **checked)
    if where is not None:
        check_bundles("the task", where, _in_units(options))
    return options


def actor_options(given: Mapping[str, Any], base: ActorOptions | None = None) -> ActorOptions:
    """Validate *given* over *base*; raises as `task_options` does."""
    base = base or ActorOptions()
    rest, where = placed(given, base.where)
    checked = _checked("an actor class", _ACTOR, rest)
    options = msgspec.structs.replace(base, where=where, **checked)
    if where is not None:
        asked = _in_units(options)
        check_bundles("the actor", where, asked, to_start=options.num_cpus is None)
    if options.get_if_exists and not options.name:
        raise ValueError(
            "get_if_exists needs a name: The actor name must be specified to use "
            "`get_if_exists`, as in .options(name=..., get_if_exists=True)"
        )
    return options


def _in_units(options: TaskOptions | ActorOptions) -> dict[str, float]:
    return {name: amount / UNIT for name, amount in demand(options).items()}


def method_options(given: Mapping[str, Any], base: MethodOptions | None = None) -> MethodOptions:
    """Validate *given* over *base*; raises as `task_options` does."""
    checked = _checked("an actor method", _METHOD, given, RefusedDecoration)
    return msgspec.structs.replace(base or MethodOptions(), **checked)


def demand(options: TaskOptions | ActorOptions) -> dict[str, int]:
    """The resources *options* ask for, in ten-thousandths, without zeros."""
    amounts: dict[str, float] = {
        "CPU": options.num_cpus or 0,
        "GPU": options.num_gpus,
        "memory": options.memory,
        **options.resources,
    }
    if isinstance(options, ActorOptions):
        amounts["object_store_memory"] = options.object_store_memory
    if options.accelerator_type:
        amounts[f"accelerator_type:{options.accelerator_type}"] = 0.001
    most = _MOST // UNIT
    return {name: round(min(amount, most) * UNIT) for name, amount in amounts.items() if amount}
