"""The node's process: its brain over inbox, links, root's channel and shared memory.

Owns the wiring and the order of one round: take what arrived, let the brain
decide, carry its effects out. Does not own decisions. Rules: frames for others are forwarded
unread; a corrupt frame is counted, logged and dropped; it never blocks but in the poll; and what
the system refuses (descriptors, memory, disk) costs what it concerned, never the node.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import Any, assert_never

import msgspec

from nbray import config as constants
from nbray.ids import FIRST_NODE, HEAD, node_of
from nbray.runtime.core import effects as fx
from nbray.runtime.core.node import idle
from nbray.runtime.core.node.brain import NodeBrain
from nbray.runtime.shell.machine.descriptors import REFUSED, Room
from nbray.runtime.shell.network.address import is_loopback, join_address, primary_ip
from nbray.runtime.shell.network.links import Links
from nbray.runtime.shell.network.listener import Door
from nbray.runtime.shell.node.causes import Causes
from nbray.runtime.shell.node.looking import Looks
from nbray.runtime.shell.node.store import Store
from nbray.runtime.shell.process import channel as p
from nbray.runtime.shell.process.log import Notes
from nbray.runtime.shell.process.sockets import Post
from nbray.runtime.shell.process.watching import Watch, sentence
from nbray.wire import messages as m
from nbray.wire.codec import CorruptFrame, encode, envelope, head_decoder, node_decoder, receiver
from nbray.wire.secret import is_weak

FAREWELL = 0.3
"""Seconds that last messages get to leave."""
PAUSE = 0.02
"""Seconds to rest after a round in which the system has refused something: it may at once again."""


class Seat(msgspec.Struct, frozen=True):
    """Where a node is at home: how it was started, and where it can be reached."""

    settings: p.RootConfig
    started: p.Started
    bound: str
    """The address on which the port was opened first."""
    port: int
    record: Callable[[p.Started, bool], None]
    """Writes the session's record anew; whether it outlives whoever started it."""


class Node:
    """One node process."""

    def __init__(
        self, seat: Seat, brain: NodeBrain, post: Post, links: Links,
        channel: p.Channel[p.FromRoot], room: Room,
    ) -> None:  # fmt: skip
        self._seat = seat
        self._settings = seat.settings
        self._brain = brain
        self._post = post
        self._links = links
        self._channel = channel
        self._notes = Notes(f"node {brain.number}")
        self._started = seat.started
        self._bound = {seat.bound}
        """Addresses of this machine on which the port is open."""
        self._decode = node_decoder().decode
        self._tickets: dict[int, int] = {}
        """Peers without a number, by the ticket of their `Join`."""
        self._store = Store(brain.storage, seat.settings.directory, room)
        self._watch = Watch()
        self._own: deque[Any] = deque()
        """Messages of the node to itself."""
        self._poller: Any = _poller(links)
        self._known_sockets: list[Any] = []
        self._stats_due = 0.0
        self._brain_due: float | None = None
        """As planned before this round: asked anew, the brain names what is due later."""
        limits = idle.limits(seat.settings.request.idle_timeout, os.environ)
        self._idle = idle.Idle(*limits) if seat.settings.request.head and any(limits) else None
        self._looks = Looks(seat.settings.directory, room, self._notes)
        self._causes = Causes(seat.settings.directory)
        self._running = True
        self._outlives = False
        self._again = False
        """Another node follows on this machine."""
        self.corrupt = 0

    # -- rounds -----------------------------------------------------------------------

    def run(self, now: float) -> None:
        """Serve until the brain says stop or root is gone."""
        self._poller.register(self._post.fd, select.POLLIN)
        self._poller.register(self._channel.fileno(), select.POLLIN)
        if isinstance(self._links.lanes, Door):
            self._poller.register(self._links.lanes.fd, select.POLLIN)
        self._stats_due = now + constants.FIRST_STATS
        self._do(self._brain.start(now), now)
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - a process's edge: everybody is told
            import traceback  # with it come the tokenizer and `re`
            traceback.print_exc()
            why = f"the node failed: {type(error).__name__}: {error}"
            self._do(self._brain.stop(why), time.monotonic())
        self._farewell()

    def _serve(self) -> None:
        while self._running:
            try:
                self._round()
            except refusals() as error:
                self._refused("a round", error)
                time.sleep(PAUSE)

    def _round(self) -> None:
        self._sockets()
        events = dict(self._poller.poll(self._timeout(time.monotonic())))
        now = time.monotonic()
        heard = self._channel.fileno() in events  # of a worker's end, before which it said more
        if heard or self._post.fd in events or self._post.retry_at is not None:
            for frames in self._post.receive():
                self._take(frames, now)
            if heard:
                self._hear_root(now)
        for client, why in self._watch.ended(events, self._poller):
            self._do(self._brain.client_gone(client, why, now), now)
        if isinstance(self._links.lanes, Door):
            if self._links.lanes.fd in events:
                self._open_lanes()
        elif any(socket in events for socket in self._known_sockets):
            self._hear_links(now, events)
        while self._own:
            self._do(self._brain.handle(self._own.popleft(), now), now)
        self._do(self._store.outcomes(events), now)
        self._time(now)
        self._store.memory.release()

    def _refused(self, what: str, error: Exception) -> None:
        """The system has refused something; it is noted, and all else goes on."""
        said = sentence(error) if isinstance(error, OSError) else error
        self._notes.rarely(f"{what} failed: {said}", time.monotonic())

    def _open_lanes(self) -> None:
        """Somebody knocks, or is about to: from now on there are sockets of ZeroMQ's."""
        if not isinstance(self._links.lanes, Door):
            return
        with contextlib.suppress(KeyError):
            self._poller.unregister(self._links.lanes.fd)
        self._links.open()
        self._poller = _poller(self._links)
        for fd in (self._post.fd, self._channel.fileno(), *self._watch.descriptors):
            self._poller.register(fd, select.POLLIN)

    def _sockets(self) -> None:
        self._store.poll(self._poller)
        sockets = self._links.sockets
        if sockets != self._known_sockets:
            for socket in self._known_sockets:
                if socket not in sockets:
                    with contextlib.suppress(KeyError):
                        self._poller.unregister(socket)
            for socket in sockets:
                self._poller.register(socket, select.POLLIN)
            self._known_sockets = sockets

    def _timeout(self, now: float) -> int:
        if self._own or self._store.memory.discarding:
            return 0
        self._brain_due = self._brain.next_deadline(now)
        planned = (
            self._brain_due, self._links.next_deadline(), self._stats_due, self._post.retry_at,
            self._brain.guard.due(),
        )  # fmt: skip
        due = min(one for one in planned if one is not None)
        return max(0, min(500, int((due - now) * 1000) + 1)) if due > now else 0

    def _time(self, now: float) -> None:
        if self._brain_due is not None and self._brain_due <= now:
            self._do(self._brain.tick(now), now)
        for node in [one for one in self._links.unmet if self._brain.peers.gone(one)]:
            self._links.counted_out(node)
        link_due = self._links.next_deadline()
        if link_due is not None and link_due <= now:
            self._hear_links(now)
            ticked = self._links.tick(now)
            for line in ticked.log:
                self._log(line)
            self._lost(ticked.lost, now)
        look_due = self._brain.guard.due()
        if look_due is not None and look_due <= now:
            seen = self._looks.memory(self._brain.guard, now)
            self._do([*self._brain.guard.read(seen, now), *self._brain.tick(now)], now)
        if now >= self._stats_due:
            self._stats_due = now + constants.STATS_INTERVAL
            self._report(now)
            for client, why in self._watch.polled():
                self._do(self._brain.client_gone(client, why, now), now)

    def _report(self, now: float) -> None:
        """What the machine is doing, and what hinders it."""
        figures = self._looks.figures(now)
        if figures is None:
            return
        self._store.look()
        self._do(self._brain.figures(figures, now), now)
        if self._idle is not None:
            why = self._idle.look(now, *idle.at_work(self._brain))
            if why:
                self._do(self._brain.stop(why, asked=True), now)

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
            if to in self._brain.clients or to == HEAD:  # else it has ended meanwhile
                self._post.send_frames(to, frames)
        elif not self._brain.peers.gone(node):
            self._links.send(node, [envelope(to), *frames], now)

    def _hear_links(self, now: float, ready: Container[object] | None = None) -> None:
        got = self._links.receive(now, ready)
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
            message = head_decoder().decode(frames[-1])  # made when the first one comes
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
        if len(frames) < 2:
            self._corrupt("a bulk message without bytes")
            return
        effects = self._brain.handle(message, now)
        for index, effect in enumerate(effects):
            if not isinstance(effect, fx.WriteSlot):
                self._do([effect], now)
                continue
            try:
                self._store.write(effect.slot, effect.start, frames[1:])
            except OSError as error:
                transfers, rest = self._brain.transfers, effects[index + 1 :]
                self._do(transfers.unwritten(effect.slot, sentence(error), rest), now)
                return

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
                    self._do(self._brain.stop(why, asked=True), now)
                case _:
                    assert_never(message)
        if self._channel.closed and self._running:
            self._log("root is gone")
            self._do(self._brain.stop("root was killed"), now)

    def _child_ended(self, ended: p.Ended, now: float) -> None:
        worker = self._brain.pool.get(ended.client)
        unborn = worker is not None and not worker.pid
        ours = worker is not None and bool(worker.why)
        cause, oom = self._causes.of(ended, self._brain.settings.info.name, unborn, ours)
        if ended.client == HEAD:
            self._do(self._brain.stop(f"the cluster's head ended: {cause}"), now)
        else:
            self._do(self._brain.worker_gone(ended.client, cause, now, oom, ended.max_rss), now)

    # -- effects --------------------------------------------------------------------------

    def _do(self, effects: list[fx.NodeEffect], now: float) -> None:
        queue = deque(effects)
        while queue:
            effect = queue.popleft()
            try:
                queue.extend(self._carry_out(effect, now))
            except refusals() as error:
                self._refused(f"{type(effect).__name__}", error)

    def _carry_out(self, effect: fx.NodeEffect, now: float) -> Iterable[fx.NodeEffect]:
        """Do one thing; what follows from it."""
        match effect:
            case fx.Send(to=to, message=message):
                self._send(to, message, now)
            case fx.SendBulk():
                self._store.read(effect, self._send_bulk)
            case fx.Fork(worker=worker, threads=threads):
                self._channel.send(p.ForkWorker(worker, threads))
            case fx.Kill(worker=worker):
                self._channel.send(p.KillWorker(worker))
            case fx.Forget(client=client):
                self._forget(client)
            case fx.WatchPid(client=client, pid=pid):
                if not self._watch.add(client, pid, self._poller):
                    why = f"its process (pid {pid}) ended"
                    return self._brain.client_gone(client, why, now)
            case (
                fx.AddSegment() | fx.DropSegment() | fx.AddFile() | fx.DropFile() | fx.Reclaim()
                | fx.MakePins() | fx.Unpin() | fx.Spill()
            ):
                return self._store.carry_out(effect)
            case fx.Listen():
                return self._listen(effect)
            case fx.Log(text=text):
                self._log(text)
            case fx.Outlive() | fx.Stop():
                self._live(effect)
            case fx.WriteSlot():
                raise AssertionError("bytes are written with the message that brings them")
            case _:
                assert_never(effect)
        return ()

    def _live(self, effect: fx.Outlive | fx.Stop) -> None:
        """How long all this lasts."""
        if isinstance(effect, fx.Stop):
            self._log(f"stops: {effect.why}")
            self._running = False
            self._again = effect.again
            if effect.again:
                self._channel.send(p.Again(self._brain.number))
                # Whoever attaches meanwhile waits until there is a number again.
                self._seat.record(msgspec.structs.replace(self._started, node=0), self._outlives)
            return
        self._outlives = effect.on
        self._log(f"{'outlives' if effect.on else 'ends with'} the process that started it")
        self._channel.send(p.Outlive(effect.on))
        self._record()

    def _record(self) -> None:
        """Write the session's record anew; on a full disk the old one stays."""
        try:
            self._seat.record(self._started, self._outlives)
        except OSError as error:
            self._refused("writing the session's record", error)

    def _send(self, to: int, message: Any, now: float) -> None:
        node = node_of(to)
        if node == self._brain.number:
            if to == self._brain.me:
                self._own.append(message)
            else:
                self._post.send(to, message)
        else:
            self._links.send(node, [envelope(to), encode(message)], now)

    def _send_bulk(self, effect: fx.SendBulk, data: Sequence[bytes | memoryview]) -> None:
        self._links.send_bulk(node_of(effect.to), [encode(effect.message), *data])

    def _forget(self, client: int) -> None:
        if node_of(client) == self._brain.number:
            self._watch.forget(client, self._poller)
            self._post.forget(client)
        else:
            self._links.counted_out(node_of(client))

    def _listen(self, effect: fx.Listen) -> list[fx.NodeEffect]:
        brain = self._brain
        if brain.number != FIRST_NODE:
            return brain.listening(effect.token, effect.client, brain.settings.address, "")
        request = self._settings.request
        ip = effect.ip or request.node_ip
        if not effect.ip and is_loopback(ip):
            ip = primary_ip()
        address = join_address(ip, self._seat.port)
        if ip in self._bound:
            return brain.listening(effect.token, effect.client, address, "")
        if is_weak(request.secret) and not request.insecure_password and not is_loopback(ip):
            why = f"the password is easy to guess, so {ip} is not opened: start with a strong one"
            return brain.listening(effect.token, effect.client, "", why)
        try:
            self._open_lanes()
            self._links.open().listen_also(ip)
        except OSError as error:
            return brain.listening(effect.token, effect.client, "", sentence(error))
        self._bound.add(ip)
        self._started = msgspec.structs.replace(
            self._started, address=address, head_address=address, ip=ip
        )
        self._record()
        return [
            *brain.moved(ip, address),
            *brain.listening(effect.token, effect.client, address, ""),
        ]

    def _log(self, text: str) -> None:
        self._notes.say(text)

    # -- the end --------------------------------------------------------------------------

    def _farewell(self) -> None:
        self._store.close()
        if not self._again:
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
            import shutil

            shutil.rmtree(self._settings.directory, ignore_errors=True)


def refusals() -> tuple[type[Exception], ...]:
    """How the system refuses something: ZeroMQ has an error of its own, once it is loaded."""
    zmq = sys.modules.get("zmq")
    return REFUSED if zmq is None else (*REFUSED, zmq.ZMQError)


def _poller(links: Links) -> Any:
    """ZeroMQ's own, if there are sockets of ZeroMQ's."""
    if isinstance(links.lanes, Door):
        return select.poll()
    import zmq

    return zmq.Poller()
