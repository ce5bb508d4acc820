"""The launcher of this machine: nodes are processes here, found by the run directory's records.

Owns the way to the native engine, which starts and ends them. Does not own
records nor processes (`nbray.engines.native`). Rule: the only module that names
that engine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nbray import arguments, session
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


def attached(where: str) -> Engine:
    """An engine of a cluster that this machine is part of, for who has none; `shutdown` ends it.

    Args:
        where: 'HOST:PORT', the dashboard's link ('http://127.0.0.1:8265'), or '' or 'auto' for
            the youngest.

    Raises:
        RaySystemError: there is none; or it does not answer.
    """
    from urllib.parse import urlsplit

    launcher = Local()
    records = launcher.records()
    port = urlsplit(where).port if "://" in where else None
    for record in records:
        if (
            where in {"", "auto", record.head_address, record.address}
            or (port is not None and record.dashboard.port == port)
        ):
            return launcher.attach(record)
    found = launcher.find(where) if records and port is None else None
    if found is not None:
        return launcher.attach(found)
    from nbray.exceptions import RaySystemError

    if not records:
        raise RaySystemError(
            "no nbray runs on this machine: start a cluster with `nbray start --head`"
        )
    raise RaySystemError(
        f"this machine is not part of a cluster at {where}: see `nbray status`; a machine joins "
        "with the line that `nbray join` prints there"
    )


@contextlib.contextmanager
def engine_of(address: str | None) -> Iterator[tuple[Engine, bool]]:
    """The engine of the cluster at *address*, and whether it is attached for this block alone.

    Without an address that of the cluster in use, else as `attached`.

    Raises:
        RaySystemError: there is none.
        ValueError: that is no address.
    """
    current = session.live()
    if current is not None and address in {None, "", "auto"}:
        yield current, False
        return
    where = arguments.cluster_address(address)
    if current is not None and where == current.context.runtime().address:
        yield current, False
        return
    engine = attached(where)
    try:
        yield engine, True
    finally:
        engine.shutdown()


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

    def find(self, address: str) -> Record | None:
        """The record of the cluster at *address*, however this machine is called there.

        None: there is none here, or that is no address.
        """
        try:
            return native().find(address)
        except ValueError:
            return None

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

    def stop(self, records: Iterable[Record], grace: float | None = None) -> None:
        """See `Launcher.stop`; what is left after *grace* seconds is killed (None: 10)."""
        for record in sorted(records, key=lambda record: record.head):
            native().stop_session(record, STOP_SECONDS if grace is None else grace)

    def attach(self, record: Record) -> Engine:
        """See `Launcher.attach`."""
        return native().start(
            InitConfig(
                address=record.head_address, secret=record.secret, log_to_driver=False, looks=True
            )
        )

    def bounds(self) -> list[str]:
        """What bounds a node that is started here: a sentence for each."""
        return native().bounds()
