"""What every actor has, whatever its class: Ray's own methods of actors, and `exit_actor`.

Owns these methods. Does not own classes or handles (`actor`). Rule: like Ray, they are added
in a subclass, so that engines need no case for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from nbray import session
from nbray.engine import ActorInfo
from nbray.exceptions import ends_actor


class ActorClassInheritanceException(TypeError):
    """An actor class stands among the bases of a class."""


def exit_actor() -> NoReturn:
    """End the actor whose method is running; the call's own `get` raises `ActorDiedError`.

    Calls that have ended keep their results. What an asynchronous or threaded actor runs beside
    it runs to its end first; calls that have not begun fail. In a process of its own the actor's
    `__ray_shutdown__` runs, if it has one, and then what was registered with `atexit`.

    Raises:
        TypeError: the caller is not an actor's method.
    """
    engine = session.current()
    here = engine.context.runtime() if engine is not None else None
    if engine is None or here is None or not here.actor_id:
        raise TypeError(
            "exit_actor() can only be called in a method of an actor (it was called on a "
            "non-actor worker)"
        )
    if not engine.capabilities.processes or not here.task_id:
        owner, actor = int(here.actor_id[:16], 16), int(here.actor_id[16:], 16)
        engine.actors.kill(ActorInfo(actor=actor, owner=owner, class_name="", methods={}), True)
    raise ends_actor(SystemExit(0))


def _ready(self: Any) -> bool:  # noqa: ARG001 - called as a method
    """True as soon as the actor has been made."""
    return True


def _apply(self: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run `function(actor, *args, **kwargs)` in the actor."""
    return function(self, *args, **kwargs)


def _terminate(self: Any) -> None:  # noqa: ARG001 - called as a method
    """End the actor after the calls made before this one."""
    exit_actor()


def extended(cls: type) -> type:
    """*cls* with the methods that every actor has."""
    extra = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__ray_ready__": _ready,
        "__ray_call__": _apply,
        "__ray_terminate__": _terminate,
    }
    made: type = type(cls)(cls.__name__, (cls,), extra)
    return made
