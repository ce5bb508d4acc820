"""Actors in a worker of Ray's: the instance of the user's class, and the calls of its methods.

Owns the class that Ray knows, one for plain and threaded actors and one for those with an event
loop. Does not own tasks (`worker`), nor what handles do (`actors`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import ray

from nbray.engine import ActorInfo, method_of
from nbray.engines.ray.boxes import Unmade, boxed
from nbray.engines.ray.bracket import bracket, gave, spoiled, where
from nbray.engines.ray.heads import Head, decode, together, wants_retry
from nbray.engines.ray.returns import returned
from nbray.engines.ray.telling import outbox
from nbray.engines.ray.worker import gone, outcome, packed, refuse_unmade, told, values
from nbray.exceptions import ActorDiedError, is_end_of_actor
from nbray.hosting.classes import settle_super, starts_async
from nbray.wire.failures import UNMADE, pack_error, unpack_error
from nbray.wire.pickling import unpack

_home: list[bytes] = []
"""What is known of the actor that lives in this process, packed."""


def here() -> ActorInfo | None:
    """The actor that lives in this process."""
    if not _home:
        return None
    info: ActorInfo = unpack(_home[-1], _nothing)
    number = ray.get_runtime_context().get_actor_id()
    owner, actor = int(number[:16], 16), int(number[16:], 16)
    return msgspec.structs.replace(info, owner=owner, actor=actor)


class Resident:
    """An actor whose methods run one at a time, or in threads."""

    definition: Any

    def __init__(self, head: bytes, info: bytes, *rest: Any) -> None:
        known = decode(head)
        refuse_unmade(known, rest)
        _home[:] = [info]
        with bracket(known):
            try:
                self._instance = self._made(known, rest)
            except Exception as error:  # noqa: BLE001 - users' code raises what it likes
                raise told(error, known) from None

    def _made(self, head: Head, rest: tuple[Any, ...]) -> Any:
        args, kwargs = together(head, rest)
        cls: Any = self.definition.load()
        settle_super(cls)
        if not starts_async(cls):
            return cls(*args, **kwargs)
        plain = cls.__new__ is object.__new__
        made = cls.__new__(cls) if plain else cls.__new__(cls, *args, **kwargs)
        self._begin = made.__init__(*args, **kwargs)
        return made

    def call(self, head: bytes, *rest: Any) -> Any:
        """Run a method."""
        known = decode(head)
        refuse_unmade(known, rest)

        def method() -> Any:
            return method_of(self._instance, known.method)

        try:
            return outcome(known, method, rest)
        except SystemExit as error:
            if is_end_of_actor(error):
                ray.actor.exit_actor()
            raise

    def __ray_shutdown__(self) -> None:
        """What Ray calls before an actor ends by itself: the user's own, if there is one."""
        end = getattr(getattr(self, "_instance", None), "__ray_shutdown__", None)
        try:
            if end is not None:
                end()
        finally:
            outbox.close()

    def stream(self, head: bytes, *rest: Any) -> Any:
        """Run a method that yields."""
        known = decode(head)
        refuse_unmade(known, rest)
        try:
            yield from values(known, lambda: method_of(self._instance, known.method), rest)
        except SystemExit as error:
            if is_end_of_actor(error):
                ray.actor.exit_actor()
            raise


class AsyncResident(Resident):
    """An actor whose class has `async def` methods: its calls run in one event loop."""

    _begin: Any = None
    _begun: Any = None

    async def _ready(self) -> None:
        """Until an `__init__` that is a coroutine has run."""
        if self._begin is not None:
            self._begin, begin = None, self._begin
            self._begun = asyncio.ensure_future(begin)
        if self._begun is None:
            return
        try:
            await self._begun
        except Exception as error:  # noqa: BLE001 - users' code raises what it likes
            name = type(self).__name__
            data = pack_error(error, f"{name}.__init__", *where())
            died = ActorDiedError(
                f"the actor {name} died: its __init__ raised ({UNMADE})\n{unpack_error(data)}"
            )
            died.actor_init_failed = True
            raise gone(died) from None

    async def call(self, head: bytes, *rest: Any) -> Any:
        """Run a method."""
        known = decode(head)
        refuse_unmade(known, rest)
        with bracket(known):
            try:
                await self._ready()
                args, kwargs = together(known, rest)
                result = method_of(self._instance, known.method)(*args, **kwargs)
                if inspect.isawaitable(result):
                    result = await result
                return returned(
                    result, known.returns, known.name,
                    lambda error: wants_retry(known.retry, error),
                    lambda error: packed(error, known),
                )  # fmt: skip
            except SystemExit as error:
                if is_end_of_actor(error):
                    ray.actor.exit_actor()
                raise
            except Exception as error:  # noqa: BLE001 - users' code raises what it likes
                raise told(error, known) from None

    async def stream(self, head: bytes, *rest: Any) -> AsyncIterator[Any]:
        """Run a method that yields."""
        known = decode(head)
        refuse_unmade(known, rest)
        what = f"what {known.name} yields"
        with bracket(known):
            try:
                await self._ready()
                args, kwargs = together(known, rest)
                result = method_of(self._instance, known.method)(*args, **kwargs)
                if inspect.isawaitable(result):
                    result = await result
                if hasattr(result, "__aiter__"):
                    async for value in result:
                        found = boxed(value, what)
                        gave(known)
                        yield found
                else:
                    for value in result:
                        found = boxed(value, what)
                        gave(known)
                        yield found
            except Exception as error:  # noqa: BLE001 - users' code raises what it likes
                spoiled.add(known.number)
                yield Unmade(told(error, known).data)


def resident_class(definition: Any, name: str, is_async: bool) -> type:
    """The class that Ray makes an actor of for *definition*, under the user's own name."""
    base = AsyncResident if is_async else Resident
    return type(name, (base,), {"definition": definition, "__module__": "__main__"})


def _nothing(_owner: int, _seq: int) -> Any:
    raise TypeError("what is known of an actor has no references")
