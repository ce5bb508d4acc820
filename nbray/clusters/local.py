"""The launcher of this machine: nodes are processes here, found by the run directory's records.

Owns the way to the native engine, which starts and ends them. Does not own
records nor processes (`nbray.engines.native`). Rule: the only module that names
that engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nbray.config import InitConfig, NodeRequest
from nbray.engine import load

if TYPE_CHECKING:  # a notebook's start loads this module, and need not wait for more
    from nbray.clusters.launcher import Interpreter
    from nbray.clusters.native import Native
    from nbray.clusters.record import Record
    from nbray.engine import Engine

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 10.0
"""What a node gets to end in order."""


def native() -> Native:
    """The native engine's door."""
    return cast("Native", load("native"))


class Local:
    """See `Launcher`. It keeps nothing: all that is known stands in the run directory."""

    def settle(self, request: NodeRequest) -> tuple[NodeRequest, list[str]]:
        """*request*, ready for `start` by this process, and warnings of one line.

        Raises:
            ValueError: it cannot be carried out; one sentence.
        """
        return native().settle(request)

    def records(self) -> Sequence[Record]:
        """See `Launcher.records`."""
        return native().records()

    def of_directory(self, directory: str) -> Record | None:
        """The record of the session in *directory* (None: it has ended)."""
        return next((one for one in self.records() if one.directory == directory), None)

    def alive(self, record: Record) -> bool:
        """See `Launcher.alive`."""
        return native().alive(record)

    def start(self, request: NodeRequest, by: Interpreter | None = None) -> Record:
        """See `Launcher.start`; without *by*, *request* is settled."""
        if by is None:
            return native().start_node(request)
        from nbray.clusters import start_command
        from nbray.clusters.launcher import Refused

        record = self.of_directory(start_command.run(by, request).directory)
        if record is None:
            raise Refused("the node started but ended at once: see `nbray status`")
        return record

    def add(self, record: Record, cpus: float, env: Mapping[str, str]) -> Record:
        """See `Launcher.add`."""
        from nbray.clusters.launcher import Interpreter, Refused

        if not record.executable or not Path(record.executable).exists():
            raise Refused(
                "the Python that this cluster runs is not known or gone: "
                "add nodes in a terminal with the line that nbray join prints"
            )
        private = record.head_address.startswith("127.")
        request = NodeRequest(
            head=False,
            address=record.head_address,
            node_ip=LOOPBACK if private else "",
            num_cpus=cpus,
            num_gpus=0,
            secret=record.secret,
        )
        return self.start(request, Interpreter(record.executable, dict(env)))

    def remove(self, record: Record) -> None:
        """See `Launcher.remove`."""
        native().stop_session(record, STOP_SECONDS)

    def stop(self, records: Iterable[Record]) -> None:
        """See `Launcher.stop`."""
        for record in sorted(records, key=lambda record: record.head):
            self.remove(record)

    def attach(self, record: Record) -> Engine:
        """See `Launcher.attach`."""
        return native().start(
            InitConfig(address=record.head_address, secret=record.secret, log_to_driver=False)
        )

    def bounds(self) -> list[str]:
        """What bounds a node that is started here: a sentence for each."""
        return native().bounds()
