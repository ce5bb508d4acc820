"""Root: the fork server of one machine, and the end of everything it started.

Owns the processes: forks head, node and workers, reaps them, reports to the
node how each ended, and sees to it that nothing is left; and, at a head, the
port of the dashboard while nobody looks (`dashboard_port`). Does not own sockets
of ZeroMQ's or any decision. Rules: it has one thread (where a start-up hook has
started another, root begins anew without hooks, and each worker runs them); it
imports only what workers need, never numpy (which starts threads); the secret
comes by standard input and leaves by fork only.

It ends on SIGTERM, when the node ends, and when its owner ends, unless the node
has said that the cluster outlives it (`core.node.outliving`). If root itself
is killed, the kernel kills head and workers with it, and the node, which sees
the channel close, ends in order.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from nbray.hosting import output_files
from nbray.ids import HEAD, client_hex
from nbray.runtime.shell.machine.descriptors import REFUSED, widen
from nbray.runtime.shell.machine.oom_scores import TASKS, base_of, offer
from nbray.runtime.shell.process import channel as p
from nbray.runtime.shell.process.log import Notes, flush_streams
from nbray.runtime.shell.root.dashboard_port import DashboardPort
from nbray.runtime.shell.root.interpreter import (
    die_with_parent,
    import_common,
    import_ties,
    import_worker,
    keep_pages,
    run_hooks,
    threads_here,
    without_hooks,
)
from nbray.text import forgiving

ORDERLY_SECONDS = 1.0
"""What the node gets to end in order before everything is killed."""
PAUSE = 0.02
"""Seconds to rest after a round in which the system has refused something."""
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


class Root:
    """The fork server. `run` returns when nothing is left."""

    def __init__(self, config: p.RootConfig, answer: int, hooks: bool = False) -> None:
        self._config = config
        self._hooks = hooks
        """Start-up hooks have not run here: each worker runs them."""
        self._answer = answer
        self._directory = Path(config.directory)
        self._logs = self._directory / "logs"
        self._logs.mkdir(mode=0o700, exist_ok=True)
        self._notes = Notes("root")
        self._children: dict[int, int] = {}
        """Client id by pid."""
        self._pids: dict[int, int] = {}
        self._said: dict[int, int] = {}
        """Worker to the file that its stderr appends to (`output_files`)."""
        self._node_pid = 0
        self._started: p.Started | None = None
        self._ending = 0.0
        """When patience with the node ends (0: nothing is ending)."""
        self._again = 0
        """The number of a node that is to be followed by another one."""
        self._loaded = False
        """What workers need is here."""
        self._early: list[p.ToRoot] = []
        """Wanted before that."""
        self._orphan = False
        """The owner has ended."""
        self._outlives = False
        """And that does not matter."""
        self._mine, self._its = socket.socketpair()
        self._channel: p.Channel[p.ToRoot] = p.Channel(self._mine, p.ToRoot)
        self._poll = select.poll()
        self._dashboard = DashboardPort(self._directory, self._poll)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def log_here(self) -> None:
        """What goes wrong in root itself stands in a log of its own."""
        log = os.open(self._logs / "root.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        os.close(log)

    # -- life -----------------------------------------------------------------------

    def run(self) -> None:
        """Start head and node, then serve until the node has ended."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, _noted)
        request = self._config.request
        if request.head and request.dashboard:
            try:
                self._dashboard.bind(request.dashboard_port)
            except OSError as error:
                self._say(p.Failed(p.Fault.PORT, str(error)))
                return
            self._config = msgspec.structs.replace(self._config, front=self._dashboard.front)
        import_common()
        keep_pages()
        cluster = int.from_bytes(os.urandom(8), "big") >> 1 if request.head else 0
        root_pid = os.getpid()
        node_pid = self._fork(0, "node", lambda: self._be_node(cluster, root_pid))
        self._node_pid = node_pid  # it takes longest to start: the head is there when it asks
        import_ties()
        if request.head:
            self._fork(HEAD, "head", lambda: _head(self._config, cluster))
        self._its.close()
        import_worker(self._serve)  # while head and node start
        self._loaded = True
        keep_pages()
        gc.enable()
        self._serve()
        self._poll.register(self._channel.fileno(), select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)
        owner = self._watch_owner()
        while self._node_pid:
            try:
                self._round(owner)
            except REFUSED as error:  # it costs what it concerned, and not the cluster
                self._notes.rarely(f"a round failed: {error}", time.monotonic())
                time.sleep(PAUSE)
            if self._ending and time.monotonic() >= self._ending:
                break

    def _round(self, owner: int | None) -> None:
        """Wait for something, and do it."""
        polled = owner is None and self._config.owner_pid and not self._orphan
        timeout = 500.0 if polled else -1.0
        if self._ending:
            timeout = max(0.0, (self._ending - time.monotonic()) * 1000)
        for descriptor, _ in self._poll.poll(timeout):
            if descriptor == self._wake_read:
                self._on_signals(os.read(self._wake_read, 4096))
            elif descriptor == self._dashboard.fd:
                self._dashboard.wake(time.monotonic())
            elif descriptor == owner:
                self._poll.unregister(owner)
                self._orphan = True
        # What the node said before the owner's end comes before its consequences.
        self._serve()
        if self._again and not self._node_pid and not self._ending:
            self._anew()
        if owner is None and self._config.owner_pid and not p.exists(self._config.owner_pid):
            self._orphan = True
        if self._orphan and not self._outlives:
            self._quit("the process that started it has ended")

    def finish(self, why: str = "") -> None:
        """Kill what is left and remove the session's folder; *why* if root itself failed."""
        self._dashboard.end()
        for pid in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in list(self._children):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._say(p.Failed(p.Fault.OTHER, why or self._last_words()))
        import shutil  # late: with all archives that it knows it takes a while

        shutil.rmtree(self._directory, ignore_errors=True)

    def _anew(self) -> None:
        """The node has lost its cluster and ended: what hung on it goes, another one joins."""
        self._poll.unregister(self._channel.fileno())
        self._channel.close()
        for pid in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in list(self._children):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._children.clear()
        self._pids.clear()
        for client in list(self._said):
            self._drop(client)
        self._config = msgspec.structs.replace(self._config, was=self._again)
        self._again = 0
        self._mine, self._its = socket.socketpair()
        self._channel = p.Channel(self._mine, p.ToRoot)
        root_pid = os.getpid()
        self._node_pid = self._fork(0, "node", lambda: self._be_node(0, root_pid))
        self._its.close()
        self._poll.register(self._channel.fileno(), select.POLLIN)

    def _quit(self, why: str) -> None:
        if not self._ending:
            self._ending = time.monotonic() + ORDERLY_SECONDS
            self._channel.send(p.Quit(why))
            self._dashboard.end()

    def _watch_owner(self) -> int | None:
        pid = self._config.owner_pid
        if not pid or not hasattr(os, "pidfd_open"):
            return None
        try:
            owner = os.pidfd_open(pid)
        except ProcessLookupError:
            self._orphan = True
            return None
        except OSError:
            return None  # an old kernel: it is polled
        self._poll.register(owner, select.POLLIN)
        return owner

    # -- events -----------------------------------------------------------------------

    def _on_signals(self, numbers: bytes) -> None:
        for number in set(numbers):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGTERM:
                self._quit("it was stopped")
            # SIGINT and SIGHUP are the terminal's business, not ours.

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            client = self._children.pop(pid, None)
            if client is None:
                self._dashboard.ended(pid, status, time.monotonic())
                continue
            if pid == self._node_pid:
                self._pids.pop(client, None)
                self._serve()  # its last words
                self._node_pid = 0
                continue
            self._pids.pop(client, None)
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            code = -1 if number else os.waitstatus_to_exitcode(status)
            scale = 1 if sys.platform == "darwin" else 1024
            words = self._end_of(client) if code else ""
            self._channel.send(p.Ended(client, pid, code, number, usage.ru_maxrss * scale, words))
            self._drop(client)

    def _serve(self) -> None:
        arrived = [*self._early, *self._channel.receive()]
        self._early = []
        for message in arrived:
            if not self._loaded and not isinstance(message, (p.Ready, p.Failed)):
                self._early.append(message)
                continue
            match message:
                case p.ForkWorker(worker=worker, threads=threads):
                    self._fork_worker(worker, threads)
                case p.KillWorker(worker=worker):
                    pid = self._pids.get(worker)
                    if pid is not None:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                case p.Outlive(on=on):
                    self._outlives = on
                case p.Ready(started=started):
                    self._started = started
                    self._say(message)
                case p.Failed():
                    self._say(message)
                case p.Again(was=was):
                    self._again = was
        if self._channel.closed and not self._again:
            # The node is gone or going; it is reaped in a moment.
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._channel.fileno())
            if not self._ending:
                self._ending = time.monotonic() + ORDERLY_SECONDS

    def _say(self, answer: p.Answer) -> None:
        """Answer the launcher, once."""
        if self._answer < 0:
            return
        with contextlib.suppress(BrokenPipeError):
            os.write(self._answer, forgiving(msgspec.json.encode)(answer) + b"\n")
        os.close(self._answer)
        self._answer = -1

    def _last_words(self) -> str:
        try:
            lines = (self._logs / "node.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return "the node ended at its start" + (f": {lines[-1]}" if lines else "")

    # -- forks ------------------------------------------------------------------------

    def _end_of(self, client: int) -> str:
        """What a worker said last."""
        descriptor = self._said.get(client, -1)
        return output_files.tail(descriptor) if descriptor >= 0 else ""

    def _drop(self, client: int) -> None:
        """A worker is dead: nobody reads what it said any more."""
        descriptor = self._said.pop(client, -1)
        if descriptor >= 0:
            os.close(descriptor)

    def _fork(self, client: int, name: str, body: Callable[[], None]) -> int:
        if threads_here() > 1:  # somebody else's: a fork has ours only, as with multiprocessing
            self._notes.rarely("root forks beside a thread that it did not start", time.monotonic())
        root = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            # No processes or memory left: for the node it is a child that ended at once.
            if not self._node_pid:
                raise
            self._not_forked(client, error)
            return 0
        if pid:
            self._children[pid] = client
            self._pids[client] = pid
            return pid
        code = 1
        try:
            self._settle(root, name, client)
            body()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:  # noqa: BLE001 - a process's edge: reported in its log
            import traceback

            traceback.print_exc()
        finally:
            flush_streams()
            os._exit(code)  # whatever happens: behind this stands root's own work

    def _not_forked(self, client: int, error: OSError) -> None:
        self._notes.rarely(f"cannot fork: {error}", time.monotonic())
        self._channel.send(p.Ended(client, 0, 1, 0, 0))
        self._drop(client)

    def _settle(self, root: int, name: str, client: int) -> None:
        """In the child: its own signals, files and ties."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        if name in {"node", "head"}:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        else:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if name != "node":
            die_with_parent()
            if os.getppid() != root:
                os._exit(1)
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._answer >= 0:
            os.close(self._answer)
        self._mine.close()
        self._dashboard.close()
        if name != "node":
            self._its.close()
        if client not in (0, HEAD):
            offer(TASKS, base_of(root))
        log = self._said.pop(client, -1)
        try:
            if log < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                log = os.open(self._logs / f"{name}.log", flags, 0o600)
        except OSError:  # the disk has no place for another file: what it says is lost
            log = os.open(os.devnull, os.O_WRONLY)
        for other in self._said.values():
            os.close(other)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)

    def _be_node(self, cluster: int, root_pid: int) -> None:
        from nbray.runtime.shell.node.founding import main as node_main

        gc.enable()
        channel: p.Channel[p.FromRoot] = p.Channel(self._its, p.FromRoot)
        node_main(self._config, cluster, root_pid, channel)

    def _fork_worker(self, worker: int, threads: int) -> None:
        started = self._started
        assert started is not None, "workers are forked for a node that is ready"
        config = p.WorkerConfig(worker, started.directory, started.node_pid, started.cluster)
        path = [os.fsdecode(entry) for entry in self._config.path]

        def body() -> None:
            for variable in _THREAD_VARIABLES:
                os.environ[variable] = str(threads)
            if self._hooks:
                run_hooks()
            known = set(sys.path)
            # Of a cluster of nobody's none: its folder is not that of those who use it.
            sys.path[:0] = [entry for entry in path if entry not in known]
            from nbray.runtime.shell.worker.process import main as worker_main

            worker_main(config)

        name = f"worker-{client_hex(worker)}"
        try:
            self._said[worker] = output_files.make(name, self._logs)
        except OSError as error:  # no descriptor: what else the node wants is done
            self._not_forked(worker, error)
            return
        self._fork(worker, name, body)


def _head(config: p.RootConfig, cluster: int) -> None:
    from nbray.runtime.shell.head.process import main as head_main

    gc.enable()  # nothing of what is imported is garbage
    head_main(Path(config.directory), cluster)


def _noted(number: int, frame: object) -> None:
    """Signals are read from the wakeup descriptor."""


def main(hooks: bool = False) -> NoReturn:
    """Read a `RootConfig` from standard input, answer on standard output, serve.

    *hooks*: those of the start have not run.
    """
    if not hooks and threads_here() > 1:
        without_hooks()
    answer = os.dup(1)
    with open(0, "rb", closefd=False) as stream:
        config = msgspec.msgpack.decode(stream.read(), type=p.RootConfig)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    widen()  # and so has whatever it forks
    root = Root(config, answer, hooks)
    root.log_here()
    why = ""
    try:
        root.run()
    except Exception as error:  # noqa: BLE001 - a process's edge: the launcher is told
        why = f"root failed: {type(error).__name__}: {error}"
    finally:
        root.finish(why)
    sys.exit(0)
