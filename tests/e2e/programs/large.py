"""A driver that is told what to send around: one request a line, one answer a line (JSON).

A request is [kind, size, machine]; the machine offers the resource `mN`. The answer says
what came back: something short, or the class and the length of an error.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import nbray as ray
from nbray import session
from nbray.events import Output

seen: list[tuple[str, int]] = []
arrived = threading.Condition()


def on_output(event: Any) -> None:
    text = event.text if isinstance(event, Output) else event.data.get("text/html", "")
    with arrived:
        seen.append((event.stream if isinstance(event, Output) else "display", len(text)))
        arrived.notify_all()


def printed(kind: str, wanted: int) -> int:
    """Characters that came, as soon as they are *wanted* or after a while."""
    def total() -> int:
        return sum(size for stream, size in seen if stream == kind)

    with arrived:
        arrived.wait_for(lambda: total() >= wanted, 30)
        return total()


def on(machine: int) -> dict[str, Any]:
    return {"num_cpus": 0, "resources": {f"m{machine}": 1}}


def a_print(size: int, machine: int) -> Any:
    def work() -> int:
        return print("x" * (size - 1)) or size

    assert ray.get(ray.remote(**on(machine))(work).remote()) == size
    return printed("stdout", size)


def lines_on_stderr(size: int, machine: int) -> Any:
    def work() -> int:
        for _ in range(size // 100):
            print("x" * 99, file=sys.stderr)
        return size

    ray.get(ray.remote(**on(machine))(work).remote())
    return printed("stderr", size // 100 * 100)


def past_python(size: int, machine: int) -> Any:
    def work() -> None:
        import os

        data = memoryview(b"x" * size)
        while data:
            data = data[os.write(1, data) :]

    ray.get(ray.remote(**on(machine))(work).remote())
    return printed("stdout", size)


def a_display(size: int, machine: int) -> Any:
    class Wide:
        def _repr_html_(self) -> str:
            return "x" * size

    def work() -> None:
        display(Wide())  # type: ignore[name-defined]  # noqa: F821

    ray.get(ray.remote(**on(machine))(work).remote())
    return printed("display", 1)


def an_odd_display(size: int, machine: int) -> Any:
    def work() -> None:
        data = {"application/json": {"n": 1 << 70, "o": object(), "x": "y" * size}}
        display({"text/html": "\ud800" + "x" * 10, **data}, raw=True)  # type: ignore[name-defined]  # noqa: F821

    ray.get(ray.remote(**on(machine))(work).remote())
    return printed("display", 1)


def a_result(size: int, machine: int) -> Any:
    return len(ray.get(ray.remote(**on(machine))(lambda: "x" * size).remote()))


def many_results(size: int, machine: int) -> Any:
    count = 64
    work = ray.remote(num_returns=count, **on(machine))(lambda: ["x" * (size // 64)] * count)
    return sum(len(part) for part in ray.get(work.remote()))


def an_argument(size: int, machine: int) -> Any:
    return ray.get(ray.remote(**on(machine))(len).remote("x" * size))


def many_arguments(size: int, machine: int) -> Any:
    parts = [ray.put("x" * (size // 100)) for _ in range(100)]
    work = ray.remote(**on(machine))(lambda *given: sum(len(part) for part in given))
    return ray.get(work.remote(*parts))


def an_error(size: int, machine: int) -> Any:
    def work() -> None:
        raise ValueError("x" * size)

    return ray.get(ray.remote(max_retries=0, **on(machine))(work).remote())


def an_error_with_data(size: int, machine: int) -> Any:
    def work() -> None:
        raise KeyError("bad rows", bytes(size), {"more": [bytes(size)]})

    return ray.get(ray.remote(max_retries=0, **on(machine))(work).remote())


def a_group(size: int, machine: int) -> Any:
    def work() -> None:
        try:
            raise ValueError("y" * size)
        except ValueError as error:
            raise ExceptionGroup("g" * size, [error, TypeError("z" * size)]) from error

    return ray.get(ray.remote(max_retries=0, **on(machine))(work).remote())


def an_init_error(size: int, machine: int) -> Any:
    class Broken:
        def __init__(self) -> None:
            raise ValueError("x" * size)

        def hello(self) -> None:
            pass

    return ray.get(ray.remote(**on(machine))(Broken).remote().hello.remote())


def an_init_argument(size: int, machine: int) -> Any:
    class Holder:
        def __init__(self, data: Any) -> None:
            self.data = data

        def size(self) -> int:
            return len(self.data)

    return ray.get(ray.remote(**on(machine))(Holder).remote("x" * size).size.remote())


def a_task_name(size: int, machine: int) -> Any:
    work = ray.remote(name="n" * size, **on(machine))(lambda: print("hello") or 7)
    assert ray.get(work.remote()) == 7
    return printed("stdout", 6)


def a_function_name(size: int, machine: int) -> Any:
    def work() -> int:
        print("hello")
        raise ValueError("short")

    work.__name__ = work.__qualname__ = "f" * size
    function = ray.remote(max_retries=0, **on(machine))(work)
    return ray.get(function.remote())


def an_actor_name(size: int, machine: int) -> Any:
    class Named:
        def hello(self) -> int:
            return 7

    Named.__name__ = Named.__qualname__ = "C" * size
    actor = ray.remote(name="n" * size, **on(machine))(Named).remote()
    found = ray.get_actor("n" * size)
    del actor
    return ray.get(found.hello.remote())


def a_name_to_look_for(size: int, machine: int) -> Any:
    return ray.get_actor("n" * size)


def a_resource_name(size: int, machine: int) -> Any:
    work = ray.remote(num_cpus=0, resources={"r" * size: 1})(lambda: 7)
    return ray.get(work.remote(), timeout=30)


def a_function(size: int, machine: int) -> Any:
    text = "x" * size
    work = ray.remote(**on(machine))(lambda: len(text))
    return ray.get(work.remote())


def a_class(size: int, machine: int) -> Any:
    text = "x" * size

    class Wide:
        data = text

        def count(self) -> int:
            return len(self.data)

    cls = ray.remote(**on(machine))(Wide)
    actors = [cls.remote() for _ in range(2)]
    return max(ray.get([actor.count.remote() for actor in actors]))


def a_docstring(size: int, machine: int) -> Any:
    class Documented:
        def count(self) -> int:
            return len(type(self).count.__doc__ or "")

    Documented.count.__doc__ = "d" * size
    return ray.get(ray.remote(**on(machine))(Documented).remote().count.remote())


def classes_to_retry(size: int, machine: int) -> Any:
    text = "x" * size

    class Odd(ValueError):
        data = text

    work = ray.remote(max_retries=1, retry_exceptions=[Odd], **on(machine))(lambda: 7)
    return ray.get(work.remote())


def main() -> None:
    """Answer until the input ends."""
    ray.init(sys.argv[1], engine="native", _redis_password=sys.argv[2])
    engine = session.current()
    assert engine is not None
    engine.cells.on_output(on_output)
    print("ready", flush=True)
    for line in sys.stdin:
        kind, size, machine = json.loads(line)
        work: Callable[[int, int], Any] = globals()[kind]
        seen.clear()
        began = time.monotonic()
        try:
            answer = work(size, machine)
        except Exception as error:
            kinds = [one.__name__ for one in type(error).__mro__]
            text = str(error)
            answer = {"error": kinds, "size": len(text), "text": text[:200]}
        print(json.dumps([answer, round(time.monotonic() - began, 2)]), flush=True)


if __name__ == "__main__":
    main()
