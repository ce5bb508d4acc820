"""A kernel and a shell that only remember: what was sent, with which parent."""

from __future__ import annotations

from typing import Any


class Events:
    """IPython's events, as far as cells use them."""

    def __init__(self) -> None:
        self.callbacks: dict[str, list[Any]] = {"pre_run_cell": [], "post_run_cell": []}

    def register(self, name: str, hook: Any) -> None:
        self.callbacks[name].append(hook)

    def unregister(self, name: str, hook: Any) -> None:
        self.callbacks[name].remove(hook)

    def fire(self, name: str, info: Any = None) -> None:
        for hook in list(self.callbacks[name]):
            hook(info)


class Session:
    """The kernel's session: keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, _socket: object, kind: str, content: Any, **rest: Any) -> None:
        self.sent.append({"kind": kind, "content": content, **rest})


class Kernel:
    """A kernel that handles the request it was told to `receive`."""

    def __init__(self) -> None:
        self.session = Session()
        self.iopub_socket = object()
        self.request: dict[str, Any] = {}

    @property
    def sent(self) -> list[dict[str, Any]]:
        return self.session.sent

    def get_parent(self, channel: str) -> dict[str, Any]:
        assert channel == "shell"
        return self.request

    def receive(self, msg_id: str) -> None:
        self.request = {"header": {"msg_id": msg_id, "msg_type": "execute_request"}}


class Publisher:
    """What the shell publishes by; only its hooks."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []

    def register_hook(self, hook: Any) -> None:
        self.hooks.append(hook)

    def unregister_hook(self, hook: Any) -> None:
        self.hooks.remove(hook)

    def clear_output(self, cell: str) -> None:
        """*cell* clears its output away."""
        message = {"msg_type": "clear_output", "parent_header": {"msg_id": cell}}
        for hook in self.hooks:
            assert hook(message) is message


class Shell:
    """An IPython shell, behind a kernel or (None) on a terminal."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self.events = Events()
        self.execution_count = 7
        self.display_pub = Publisher()
        if kernel is not None:
            self.kernel = kernel
