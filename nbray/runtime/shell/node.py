"""The node's process: its brain over inbox, links, root's channel and shared memory.

Owns the wiring and the order of one round: take what arrived, let the brain
decide, carry its effects out. Does not own decisions. Rules: frames for others
are forwarded unread; a corrupt frame is counted, logged and dropped; it never
blocks but in the poll.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any, assert_never

import msgspec
import zmq

from nbray import config as constants
from nbray.exceptions import AuthenticationError, VersionMismatchError
from nbray.ids import FIRST_NODE, HEAD, node_client, node_of
from nbray.runtime.core import effects as fx
from nbray.runtime.core.node import NodeBrain, NodeConfig
from nbray.runtime.shell import machine
from nbray.runtime.shell import processes as p
from nbray.runtime.shell.address import LOOPBACK, is_loopback, join_address, primary_ip
from nbray.runtime.shell.lanes import Lanes, make_context
from nbray.runtime.shell.links import Links
from nbray.runtime.shell.sockets import Post
from nbray.runtime.store.keeper import Keeper
from nbray.runtime.store.segments import Segment
from nbray.wire import messages as m
from nbray.wire.codec import CorruptFrame, encode, envelope, head_decoder, node_decoder, receiver
from nbray.wire.secret import Secret, is_weak

FAREWELL = 0.3
"""Seconds that last messages get to leave."""


class Node:
    """One node process."""

    def __init__(
        self, settings: p.RootConfig, brain: NodeBrain, post: Post, links: Links,
        channel: p.Channel[p.FromRoot], port: int, bound: str, started: p.Started,
    ) -> None:
        self._settings = settings
        self._brain = brain
        self._post = post
        self._links = links
        self._channel = channel
        self._port = port
        self._started = started
        self._bound = {bound}
        """Addresses of this machine on which the port is open."""
        self._decode = node_decoder().decode
        self._decode_join = head_decoder().decode
        self._tickets: dict[int, int] = {}
        """Peers without a number, by the ticket of their `Join`."""
        self._segments: dict[int, Segment] = {}
        self._serial = 0
        self._watched: dict[int, tuple[int, int]] = {}
        """pidfd to (client, pid)."""
        self._polled: dict[int, int] = {}
        """Client to pid, where there are no pidfds."""
        self._own: deque[Any] = deque()
        """Messages of the node to itself."""
        self._poller = zmq.Poller()
        self._known_sockets: list[Any] = []
        self._stats_due = 0.0
        self._oom_kills = machine.oom_kills()
        self._running = True
        self.corrupt = 0

    # -- rounds -----------------------------------------------------------------------

    def run(self, now: float) -> None:
        """Serve until the brain says stop or root is gone."""
        self._poller.register(self._post.inbox, zmq.POLLIN)
        self._poller.register(self._channel.fileno(), zmq.POLLIN)
        self._stats_due = now + 0.05  # the first report; psutil is imported by then
        self._do(self._brain.start(now), now)
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - a process's edge: everybody is told
            traceback.print_exc()
            why = f"the node failed: {type(error).__name__}: {error}"
            self._do(self._brain.stop(why), time.monotonic())
        self._farewell()

    def _serve(self) -> None:
        while self._running:
            self._sockets()
            events = dict(self._poller.poll(self._timeout(time.monotonic())))
            now = time.monotonic()
            if self._post.inbox in events:
                for frames in self._post.receive():
                    self._take(frames, now)
            if self._channel.fileno() in events:
                self._hear_root(now)
            for descriptor in [d for d in self._watched if d in events]:
                self._client_ended(descriptor, now)
            if any(socket in events for socket in self._known_sockets):
                self._hear_links(now)
            while self._own:
                self._do(self._brain.handle(self._own.popleft(), now), now)
            self._time(now)

    def _sockets(self) -> None:
        sockets = self._links.sockets
        if sockets != self._known_sockets:
            for socket in self._known_sockets:
                if socket not in sockets:
                    with contextlib.suppress(KeyError):
                        self._poller.unregister(socket)
            for socket in sockets:
                self._poller.register(socket, zmq.POLLIN)
            self._known_sockets = sockets

    def _timeout(self, now: float) -> int:
        if self._own:
            return 0
        planned = (self._brain.next_deadline(now), self._links.next_deadline(), self._stats_due)
        due = min(one for one in planned if one is not None)
        return max(0, min(500, int((due - now) * 1000) + 1)) if due > now else 0

    def _time(self, now: float) -> None:
        due = self._brain.next_deadline(now)
        if due is not None and due <= now:
            self._do(self._brain.tick(now), now)
        link_due = self._links.next_deadline()
        if link_due is not None and link_due <= now:
            self._hear_links(now)
            self._lost(self._links.tick(now).lost, now)
        if now >= self._stats_due:
            self._stats_due = now + constants.STATS_INTERVAL
            self._do(self._brain.figures(machine.figures(), now), now)
            for client, pid in list(self._polled.items()):
                if not _runs(pid):
                    del self._polled[client]
                    self._do(self._brain.client_gone(client, "its process ended", now), now)

    # -- what arrives -------------------------------------------------------------------

    def _take(self, frames: list[Any], now: float) -> None:
        """A message from the inbox or a link: for this node, or for somebody else."""
        to = receiver(frames[0])
        if to is not None:
            frames = frames[1:]
            if not frames:
                self._corrupt("an empty message")
                return
            if to != self._brain.me:
                self._forward(to, frames, now)
                return
        self._handle(frames[0], now)

    def _handle(self, frame: bytes | memoryview, now: float) -> None:
        try:
            message = self._decode(frame)
        except CorruptFrame as error:
            self._corrupt(str(error))
            return
        if isinstance(message, m.Welcome | m.Refused) and message.ticket:
            self._answer_ticket(message, now)
            return
        self._do(self._brain.handle(message, now), now)

    def _corrupt(self, why: str) -> None:
        self.corrupt += 1
        self._log(f"dropped a corrupt frame ({self.corrupt} so far): {why}")

    def _forward(self, to: int, frames: list[Any], now: float) -> None:
        node = node_of(to)
        if node == self._brain.number:
            self._post.send_frames(to, frames)
        elif self._brain.spread.alive(node) or node == FIRST_NODE:
            self._links.send(node, [envelope(to), *frames], now)

    def _hear_links(self, now: float) -> None:
        got = self._links.receive(now)
        for line in got.log:
            self._log(line)
        for peer, frames in got.control:
            if peer < 0:
                self._hear_stranger(peer, frames)
            else:
                self._take(list(frames), now)
        for peer, frames in got.bulk:
            self._hear_bulk(peer, frames, now)
        self._lost(got.lost, now)

    def _hear_stranger(self, peer: int, frames: Any) -> None:
        """From a machine without a number only `Join` is taken."""
        try:
            message = self._decode_join(frames[-1])
        except CorruptFrame as error:
            self._corrupt(str(error))
            return
        if isinstance(message, m.Join) and self._brain.number == FIRST_NODE:
            self._tickets[message.ticket] = peer
            self._post.send_frames(HEAD, [frames[-1]])

    def _answer_ticket(self, message: m.Welcome | m.Refused, now: float) -> None:
        peer = self._tickets.pop(message.ticket, None)
        if peer is None:
            return
        if isinstance(message, m.Welcome):
            self._links.adopt(peer, message.number)
            peer = message.number
        self._links.send(peer, [encode(message)], now)

    def _hear_bulk(self, peer: int, frames: Any, now: float) -> None:
        try:
            message = self._decode(frames[0])
        except CorruptFrame as error:
            self._corrupt(str(error))
            return
        data = frames[1] if len(frames) > 1 else None
        for effect in self._brain.handle(message, now):
            if isinstance(effect, fx.WriteSlot):
                segment = self._segments.get(effect.slot.segment)
                if segment is not None and data is not None:
                    size = min(len(data), effect.slot.size - effect.start)
                    view = segment.view(effect.slot.offset + effect.start, size)
                    view[:] = memoryview(data)[:size]
            else:
                self._do([effect], now)

    def _lost(self, lost: list[tuple[int, str]], now: float) -> None:
        for node, why in lost:
            self._log(f"node {node} is lost: {why}")
            self._do([fx.Send(HEAD, m.NodeLost(self._brain.me, node, why))], now)
            if node == FIRST_NODE:
                self._do(self._brain.node_lost(node, why, now), now)

    def _hear_root(self, now: float) -> None:
        for message in self._channel.receive():
            match message:
                case p.Ended():
                    self._child_ended(message, now)
                case p.Quit(why=why):
                    self._do(self._brain.stop(why), now)
                case _:
                    assert_never(message)
        if self._channel.closed and self._running:
            self._log("root is gone")
            self._do(self._brain.stop("root was killed"), now)

    def _child_ended(self, ended: p.Ended, now: float) -> None:
        oom = False
        if ended.signal == 9:
            kills = machine.oom_kills()
            oom, self._oom_kills = kills > self._oom_kills, kills
        cause = _cause(ended, oom, self._brain.settings.info.name)
        if ended.client == HEAD:
            words = _last_line(Path(self._settings.directory) / "logs" / "head.log")
            cause += f" ({words})" if words else ""
            self._do(self._brain.stop(f"the cluster's head ended: {cause}"), now)
        else:
            self._do(self._brain.worker_gone(ended.client, cause, now, oom), now)

    def _client_ended(self, descriptor: int, now: float) -> None:
        client, pid = self._watched.pop(descriptor)
        self._poller.unregister(descriptor)
        os.close(descriptor)
        self._do(self._brain.client_gone(client, f"its process (pid {pid}) ended", now), now)

    # -- effects --------------------------------------------------------------------------

    def _do(self, effects: list[fx.Effect], now: float) -> None:
        queue = deque(effects)
        while queue:
            effect = queue.popleft()
            match effect:
                case fx.Send(to=to, message=message):
                    self._send(to, message, now)
                case fx.SendBulk():
                    self._send_bulk(effect)
                case fx.Fork(worker=worker, threads=threads):
                    self._channel.send(p.ForkWorker(worker, threads))
                case fx.Kill(worker=worker):
                    self._channel.send(p.KillWorker(worker))
                case fx.Forget(client=client):
                    self._forget(client)
                case fx.WatchPid(client=client, pid=pid):
                    queue.extend(self._watch(client, pid, now))
                case fx.AddSegment(size=size):
                    queue.extend(self._add_segment(size))
                case fx.DropSegment(segment=segment):
                    dropped = self._segments.pop(segment, None)
                    if dropped is not None:
                        dropped.drop()
                case fx.Listen():
                    queue.extend(self._listen(effect))
                case fx.Log(text=text):
                    self._log(text)
                case fx.Stop(why=why):
                    self._log(f"stops: {why}")
                    self._running = False
                case _:
                    raise AssertionError(f"a node does not {effect}")

    def _send(self, to: int, message: Any, now: float) -> None:
        node = node_of(to)
        if node == self._brain.number:
            if to == self._brain.me:
                self._own.append(message)
            else:
                self._post.send(to, message)
        else:
            self._links.send(node, [envelope(to), encode(message)], now)

    def _send_bulk(self, effect: fx.SendBulk) -> None:
        segment = self._segments.get(effect.slot.segment)
        if segment is None:
            return
        view = segment.view(effect.slot.offset + effect.start, effect.size)
        # A copy: the slot may be freed and used again before the IO thread is done with it.
        self._links.send_bulk(node_of(effect.to), [encode(effect.message), bytes(view)])

    def _forget(self, client: int) -> None:
        if node_of(client) == self._brain.number:
            self._post.forget(client)
        else:
            self._links.forget(node_of(client))

    def _watch(self, client: int, pid: int, now: float) -> list[fx.Effect]:
        if not hasattr(os, "pidfd_open"):
            self._polled[client] = pid
            return []
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return self._brain.client_gone(client, f"its process (pid {pid}) ended", now)
        except OSError:
            self._polled[client] = pid
            return []
        self._watched[descriptor] = (client, pid)
        self._poller.register(descriptor, select.POLLIN)
        return []

    def _add_segment(self, size: int) -> list[fx.Effect]:
        self._serial += 1
        try:
            segment = Segment.create(size, self._serial, self._settings.directory)
        except OSError as error:
            return self._brain.segment_failed(f"the system has no shared memory left: {error}")
        self._segments[segment.id] = segment
        return self._brain.segment_added(segment.id, size)

    def _listen(self, effect: fx.Listen) -> list[fx.Effect]:
        brain = self._brain
        if brain.number != FIRST_NODE:
            return brain.listening(effect.token, effect.client, brain.settings.address, "")
        request = self._settings.request
        ip = effect.ip or request.node_ip
        if not effect.ip and is_loopback(ip):
            ip = primary_ip()
        address = join_address(ip, self._port)
        if ip in self._bound:
            return brain.listening(effect.token, effect.client, address, "")
        if is_weak(request.secret) and not request.insecure_password and not is_loopback(ip):
            why = f"the password is easy to guess, so {ip} is not opened: start with a strong one"
            return brain.listening(effect.token, effect.client, "", why)
        try:
            self._links.lanes.listen_also(ip)
        except OSError as error:
            return brain.listening(effect.token, effect.client, "", _sentence(error))
        self._bound.add(ip)
        self._started = msgspec.structs.replace(
            self._started, address=address, head_address=address, ip=ip
        )
        _write_record(self._settings, self._started)
        return [
            *brain.moved(ip, address),
            *brain.listening(effect.token, effect.client, address, ""),
        ]

    def _log(self, text: str) -> None:
        stamp = time.strftime("%H:%M:%S")
        print(f"{stamp} node {self._brain.number}: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the process's log

    # -- the end --------------------------------------------------------------------------

    def _farewell(self) -> None:
        with contextlib.suppress(OSError):
            (Path(self._settings.directory) / "record.json").unlink()
        deadline = time.monotonic() + FAREWELL
        while time.monotonic() < deadline and not self._links.idle():
            self._poller.poll(10)
            now = time.monotonic()
            self._links.receive(now)
            self._links.tick(now)
        self._links.lanes.close()
        self._post.close(linger=0.1)
        if self._channel.closed:  # root cannot do it any more
            shutil.rmtree(self._settings.directory, ignore_errors=True)


def _sentence(error: OSError) -> str:
    return error.strerror or str(error)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _cause(ended: p.Ended, oom: bool, name: str) -> str:
    """One sentence: how a process ended."""
    import signal

    who = f"its process (pid {ended.pid}) on {name}"
    if ended.signal:
        try:
            what = signal.Signals(ended.signal).name
        except ValueError:
            what = f"signal {ended.signal}"
        text = f"{who} was killed by {what}"
        if oom:
            text += ", because the machine ran out of memory"
    else:
        text = f"{who} exited with code {ended.code}"
    return f"{text}; it had used up to {ended.max_rss / 1e6:.0f} MB"


# -- starting -----------------------------------------------------------------------------


def main(
    settings: p.RootConfig, cluster: int, root_pid: int, channel: p.Channel[p.FromRoot]
) -> None:
    """Become a node: bind, join or found, answer the launcher, serve."""
    try:
        node, started, record = _start(settings, cluster, root_pid, channel)
    except AuthenticationError as error:
        failed = p.Failed("auth", str(error))
    except VersionMismatchError as error:
        failed = p.Failed("version", str(error))
    except ConnectionError as error:
        failed = p.Failed("unreachable", str(error))
    except OSError as error:
        failed = p.Failed("port", _sentence(error))
    else:
        record()
        channel.send(p.Ready(started))
        node.run(time.monotonic())
        return
    channel.send(failed)
    sys.exit(1)


def _start(
    settings: p.RootConfig, cluster: int, root_pid: int, channel: p.Channel[p.FromRoot]
) -> tuple[Node, p.Started, Any]:
    request = settings.request
    secret = Secret.parse(request.secret)
    lanes = Lanes(make_context(), secret, FIRST_NODE if request.head else 0)
    brain: NodeBrain | None = None

    def address_of(number: int) -> str:
        info = brain.spread.members.get(number) if brain is not None else None
        return join_address(info.ip, info.port) if info is not None and info.alive else ""

    links = Links(lanes, address_of)
    # A driver's own cluster can be reached from other machines only once it is asked to.
    private = request.head and request.owner == "driver"
    bound, port = lanes.bind(LOOPBACK if private else request.node_ip, request.port)
    total = machine.resources(request)
    info = m.NodeInfo(
        FIRST_NODE if request.head else 0, machine.host_name(), request.node_ip, port, total,
        dict(total), request.head, True, os.getpid(), time.time(),
    )  # fmt: skip
    versions = machine.versions()
    members: list[m.NodeInfo] = []
    address = join_address(bound, port)
    head_address = address
    if not request.head:
        from nbray.runtime.shell.joining import join

        welcome = join(links, request.address, secret, info, versions)
        info = msgspec.structs.replace(info, number=welcome.number)
        cluster, members, head_address = welcome.cluster, welcome.nodes, request.address
        lanes.identify(welcome.number)
    number = info.number
    config = NodeConfig(number, cluster, info, versions, head_address)
    brain = NodeBrain(config, Keeper(machine.store_bytes(request), number))
    for member in members:
        brain.spread.members.setdefault(member.number, member)
    post = Post(node_client(number), Path(settings.directory))
    started = p.Started(
        number, cluster, settings.directory, address, head_address, root_pid, os.getpid(),
        request.node_ip,
    )  # fmt: skip
    node = Node(settings, brain, post, links, channel, port, bound, started)
    return node, started, lambda: _write_record(settings, started)


def _write_record(settings: p.RootConfig, started: p.Started) -> None:
    from nbray.runtime.shell import rundir

    request = settings.request
    rundir.write(
        rundir.Record(
            directory=settings.directory,
            root_pid=started.root_pid,
            root_started=rundir.process_started(started.root_pid) or 0.0,
            node=started.node,
            head=request.head,
            address=started.address,
            head_address=started.head_address,
            secret=request.secret,
            node_ip=started.ip,
            version=machine.NBRAY,
            python=machine.versions().python,
            owner=request.owner,
            created=time.time(),
            netns=rundir.namespace("net"),
            pidns=rundir.namespace("pid"),
        )
    )
