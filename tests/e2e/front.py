"""A front end of the Jupyter protocol: what came under which cell, of a real kernel."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

LIMIT = 120.0
"""Seconds in which any cell here must end."""


class Answer(msgspec.Struct):
    """What came under one cell."""

    cell: str
    number: int = 0
    """What stands in its brackets: In[number]."""
    streams: str = ""
    displays: dict[str, dict[str, Any]] = {}
    """MIME bundles by display id (or a number), as they are by now."""
    result: str = ""
    error: str = ""
    traceback: str = ""

    @property
    def printed(self) -> str:
        """What tasks printed: the text of nbray's own display."""
        return "".join(
            f"{data['text/plain']}\n" if data["text/plain"] else ""
            for data in self.displays.values()
            if "nbray-output" in data.get("text/html", "")
        )

    @property
    def shown(self) -> str:
        """The text of the cell's value, also where that is a display which follows something."""
        return self.result or "\n".join(
            data["text/plain"] for data in self.displays.values()
            if data.get("text/plain") and "nbray-output" not in data.get("text/html", "")
        )

    @property
    def text(self) -> str:
        """What the cell and its tasks printed."""
        return self.streams + self.printed

    @property
    def pictures(self) -> int:
        """How many pictures are under the cell."""
        return sum("image/png" in data for data in self.displays.values())


class Front:
    """A front end that files every message under the cell it answers."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client
        self.answers: dict[str, Answer] = {}

    def start(self, code: str) -> Answer:
        """Send a cell; its answer fills while messages are read."""
        cell = self.client.execute(code)
        return self.answers.setdefault(cell, Answer(cell))

    def run(self, code: str) -> Answer:
        """Run a cell to its end."""
        answer = self.start(code)
        self.finish(answer)
        return answer

    def finish(self, answer: Answer, limit: float = LIMIT) -> None:
        """Read messages until the cell of *answer* has ended."""
        self.until(lambda message: idle(message) and parent(message) == answer.cell, limit)

    def until(
        self, condition: Callable[[dict[str, Any]], object], limit: float = LIMIT
    ) -> dict[str, Any]:
        """Read messages up to the first that fulfils *condition*."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            message = self.client.get_iopub_msg(timeout=limit)
            self.file(message)
            if condition(message):
                return message
        raise AssertionError(f"nothing came in {limit} s: {self.answers}")

    def file(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "update_display_data":
            for shown in self.answers.values():  # found by its id, whatever the parent
                if content["transient"]["display_id"] in shown.displays:
                    shown.displays[content["transient"]["display_id"]] = content["data"]
        answer = self.answers.get(parent(message))
        if answer is None:
            return
        match message["msg_type"]:
            case "execute_input":
                answer.number = content["execution_count"]
            case "stream":
                answer.streams += content["text"]
            case "display_data":
                name = content["transient"].get("display_id") or str(len(answer.displays))
                answer.displays[name] = content["data"]
            case "execute_result":
                answer.result = content["data"]["text/plain"]
            case "error":
                answer.error = content["ename"]
                answer.traceback = re.sub(
                    r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"])
                )
            case _:
                pass


@contextmanager
def running(setup: str, **options: Any) -> Iterator[tuple[Front, Answer]]:
    """A front end of a new kernel that has run *setup*, and the answer; kernel and cluster end."""
    manager, client = start_new_kernel(**{"kernel_name": "python3", **options})
    front = Front(manager, client)
    try:
        answer = front.run(setup)
        assert not answer.error, answer.traceback
        yield front, answer
        front.run("%nbray stop")
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def parent(message: dict[str, Any]) -> str:
    return str(message["parent_header"].get("msg_id"))


def idle(message: dict[str, Any]) -> bool:
    return bool(message["content"].get("execution_state") == "idle")
