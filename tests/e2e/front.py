"""A front end for a real kernel: what comes under which cell."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

LIMIT = 60.0
"""Seconds in which any cell here must end."""


class Answer(msgspec.Struct):
    """What came under one cell."""

    cell: str
    text: str = ""
    result: str = ""
    error: str = ""
    traceback: str = ""


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
        answer = self.answers.get(parent(message))
        if answer is None:
            return
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                answer.text += content["text"]
            case "execute_result":
                answer.result = content["data"]["text/plain"]
            case "error":
                answer.error = content["ename"]
                answer.traceback = re.sub(
                    r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"])
                )
            case _:
                pass


def parent(message: dict[str, Any]) -> str:
    return str(message["parent_header"].get("msg_id"))


def idle(message: dict[str, Any]) -> bool:
    return bool(message["content"].get("execution_state") == "idle")
