"""Nodes and root in the simulation: their shells without sockets.

Owns what `runtime.shell.node.process`, `node.store` and `root` own in a real cluster, over the
world's pipes and the node's `links`. Rule: what a shell does with a message or an effect is
done here the same way; nothing is decided.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from sim.disks import SimDisk
from sim.links import NodeLinks
from sim.loops import Memory
from sim.processes import CLUSTER, VERSIONS, Process
from sim.world import World, who

from nbray.config import CHUNK, MEMORY_LOOK, STATS_INTERVAL
from nbray.events import Figures
from nbray.ids import FIRST_NODE, HEAD, node_client, node_of
from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.brain import NodeBrain
from nbray.runtime.core.node.memory_guard import Seen
from nbray.runtime.core.node.settings import NodeConfig
from nbray.runtime.core.node.store.disk import Disk
from nbray.runtime.core.node.store.slots import StoreBooks
from nbray.wire import messages as m
from nbray.wire.codec import encode, envelope, node_decoder, receiver

STORE = 400 << 20
SMALL_STORE = 200 << 10


class NodeProcess(Process):
    """A node, its root, and its end of the links."""

    def __init__(
        self, world: World, number: int, total: m.Shape, spawn: Callable[[int, int], Any],
        ready: int, members: list[m.NodeInfo], machine: int,
    ) -> None:  # fmt: skip
        super().__init__(world, node_client(number))
        self.machine = machine
        self.lost_cluster: Callable[[int], None] = lambda number: None
        """Called when another node is to follow on this machine."""
        world.nodes[number] = self
        info = m.NodeInfo(
            number, f"host{machine}", f"10.0.0.{machine}", 6379, total, dict(total), number == 1
        )
        disk = Disk("the disk", file=1 << 20)
        self.books = StoreBooks(SMALL_STORE if world.small else STORE, number, disk=disk)
        self.disk = SimDisk(self)
        if world.seed % 2:  # in half of the stories 2.5 MB are a large object
            self.books.arena = 1 << 20
        self.brain = NodeBrain(
            NodeConfig(
                number, CLUSTER, info, VERSIONS, "10.0.0.1:6379", cap=40, ready=ready,
                rejoins=number != FIRST_NODE,
            ),
            self.books,
        )
        if world.seed % 3 == 0:  # in these all objects are passed on by those that pull them
            self.brain.transfers.large = 1
        for member in members:
            self.brain.peers.members.setdefault(member.number, member)
        self._decode = node_decoder().decode
        self._spawn = spawn
        self.links = NodeLinks(self)
        self._own: deque[Any] = deque()
        self._numbers = itertools.count(1)
        self.segments: set[int] = set()
        self._stats_due = 0.05
        self._killed: set[int] = set()
        self.failing_segments = 0
        self._planned: float | None = None
        """When the brain wanted to be called, before this round."""
        self.failing_forks = 0
        self.stale = 0
        """Slots that were freed twice, other than by the last words of a dead owner."""
        self._asked_for: set[int] = set()
        """By generation, slots of dead workers whose owners were asked: what an owner has freed
        meanwhile it does not know any more, and frees it again."""
        self._on_free, self.books.on_free = self.books.on_free, self._freed
        self._perform(self.brain.start(world.now))
        self.wake(world.now)

    # -- rounds ---------------------------------------------------------------------

    def round(self) -> None:
        """See `runtime.shell.node.process.Node.run`."""
        now = self.world.now
        while self.inbox and self.alive:
            self.take(self.inbox.popleft())
        while self._own and self.alive:
            message = self._own.popleft()
            self._perform(self.brain.handle(message, now))
        if not self.alive:
            return
        if self._planned is not None and self._planned <= now:
            self._perform(self.brain.tick(now))
        self.links.tick(now)
        if now >= self._stats_due:
            self._stats_due = now + STATS_INTERVAL
            self._perform(self.brain.figures(Figures(), now))
        if self.alive:
            self.plan()

    def plan(self) -> None:
        """Be woken when something is due."""
        now = self.world.now
        self._planned = self.brain.next_deadline(now)
        planned = (self.links.next_deadline(), self._planned, self._stats_due)
        self.wake(max(min(due for due in planned if due is not None), now + 1e-4))
        if self._own:
            self.wake(now)

    # -- what arrives -----------------------------------------------------------------

    def take(self, frames: list[Any]) -> None:
        """A message, for this node or for whom it is."""
        to = receiver(frames[0])
        if to is not None:
            frames = frames[1:]
            if to != self.me:
                self.links.forward(to, frames)
                return
        message = self._decode(frames[0])
        if isinstance(message, m.Welcome | m.Refused) and message.ticket:
            return  # the joining node has been given its number by the scenario
        self.world.tell(self.me, "<-", message.sender, message)
        stale = self.books.stale
        self._perform(self.brain.handle(message, self.world.now))
        if not (isinstance(message, m.Free) and self.brain.deaths.over(message.sender)):
            again = {s.generation for s in message.slots} if isinstance(message, m.Free) else set()
            self.stale += max(0, self.books.stale - stale - len(again & self._asked_for))

    def hear_bulk(self, frames: list[Any]) -> None:
        """A message of the bulk lane, with what goes into a slot."""
        message = self._decode(frames[0])
        self.world.tell(self.me, "<=", message.sender, message)
        effects = self.brain.handle(message, self.world.now)
        for index, effect in enumerate(effects):
            if not isinstance(effect, fx.WriteSlot):
                self._perform([effect])
                continue
            try:
                self._write(effect.slot, effect.start, b"".join(frames[1:]))
            except OSError as error:
                transfers, rest = self.brain.transfers, effects[index + 1 :]
                self._perform(transfers.unwritten(effect.slot, str(error), rest))
                break
        if self.alive:
            self.plan()

    def _freed(self, slot: m.Slot, moved: bool) -> None:
        """What is freed nobody views, not even who will have been ended in a moment."""
        self._on_free(slot, moved)
        for process in self.world.processes.values():
            api = getattr(process, "api", None)
            if process.number == self.number and process.alive and api and slot in api.viewed:
                self.world.fail(f"node{self.number} frees {slot}, which {who(process.me)} views")

    def holds(self, slot: m.Slot) -> bool:
        """Whether something lies in *slot*, in memory or on disk."""
        owner_and_name = self.books._live.get(slot.generation)
        return owner_and_name is not None and self.books.where(owner_and_name[1]) == slot

    def _write(self, slot: m.Slot, start: int, data: bytes) -> None:
        if not self.holds(slot):
            self.world.fail(f"node{self.number} writes into the freed {slot}")
        memory = self.world.segments[self.number, slot.segment]
        memory.fill(slot.offset + start, [(0, data)])
        chunks = self.world.chunks.setdefault((self.number, slot.generation), set())
        chunks.update(range(start, start + len(data), CHUNK))

    def peer_lost(self, peer: int, why: str) -> None:
        """A link has been silent for too long, or what it carried was lost."""
        self.world.note(f"node{self.number}: node {peer} is lost: {why}")
        self._perform([fx.Send(HEAD, m.NodeLost(self.me, peer, why))])
        if peer == FIRST_NODE:
            self._perform(self.brain.node_lost(peer, why, self.world.now))

    # -- effects ------------------------------------------------------------------------

    def _perform(self, effects: list[fx.Effect]) -> None:
        queue = deque(effects)
        world = self.world
        while queue and self.alive:
            effect = queue.popleft()
            match effect:
                case fx.Send(to=to, message=message):
                    if isinstance(message, m.Unclaimed):
                        self._asked_for.update(slot.generation for slot in message.slots)
                    self._send(to, message)
                case fx.SendBulk():
                    self._send_bulk(effect)
                case fx.Fork(worker=worker, threads=threads):
                    world.at(0.001 + 0.01 * world.rng.random(), self._fork, worker, threads)
                case fx.Kill(worker=worker):
                    world.at(world.delay(), self._kill, worker)
                case fx.Forget(client=client):
                    if node_of(client) == self.number:
                        self.forgotten.add(client)
                    else:
                        self.links.forget(node_of(client))
                case fx.WatchPid():
                    pass  # a driver's end is reported by `child_ended`
                case fx.AddSegment(size=size):
                    world.at(0.002 * world.rng.random(), self._segment_added, size)
                case fx.DropSegment(segment=segment):
                    self._segment_dropped(segment)
                case (
                    fx.AddFile() | fx.DropFile() | fx.Reclaim() | fx.MakePins() | fx.Unpin()
                    | fx.Spill()
                ):
                    self.disk.carry_out(effect)
                case fx.Log(text=text):
                    world.note(f"node{self.number} logs: {text}")
                case fx.Stop(why=why, again=again):
                    world.note(f"node{self.number} stops: {why}")
                    world.at(0.01, self.die)
                    if again:
                        world.at(0.02, self.lost_cluster, self.number)
                case _:
                    raise AssertionError(f"a node does not {effect}")
        if self.alive:
            self.wake(world.now + 1e-5)

    def _segment_added(self, size: int) -> None:
        if self.stands(self._segment_added, size):
            return
        if self.alive and self.failing_segments:
            self.failing_segments -= 1
            self._perform(self.brain.storage.segment_failed("no memory"))
        elif self.alive:
            number = next(self._numbers)
            self.segments.add(number)
            self.world.segments[self.number, number] = Memory(number, size)
            self._perform(self.brain.storage.segment_added(number, size))

    def _segment_dropped(self, segment: int) -> None:
        if segment not in self.segments | self.disk.files:
            self.world.fail(f"node{self.number} drops segment {segment}, which it does not have")
        self.segments.discard(segment)
        self.disk.files.discard(segment)
        self.world.segments.pop((self.number, segment), None)
        for process in self.world.processes.values():
            api = getattr(process, "api", None)
            if process.alive and api is not None:
                for slot in map(self.books.where, api.viewed):
                    if (slot.node, slot.segment) == (self.number, segment):
                        self.world.fail(f"node{self.number} drops memory under {slot}")

    def _send(self, to: int, message: Any) -> None:
        node = node_of(to)
        if node == self.number:
            if to == self.me:
                self._own.append(message)
            else:
                self.post(to, message)
        else:
            self.world.tell(self.me, "->", to, message)
            self.links.control(node, [envelope(to), encode(message)])

    def _send_bulk(self, effect: fx.SendBulk) -> None:
        slot = effect.slot
        if not self.holds(slot):
            self.world.fail(f"node{self.number} reads the freed {slot}")
        memory = self.world.segments[self.number, slot.segment]
        start = slot.offset + effect.start
        data = bytes(memory.view(start, min(effect.size, slot.size - effect.start)))
        self.world.tell(self.me, "=>", effect.to, effect.message)
        cut = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
        self.links.bulk(node_of(effect.to), [encode(effect.message), *cut])

    # -- root -----------------------------------------------------------------------------

    def pause(self) -> None:
        super().pause()
        self.world.paused(self.number)

    def resume(self) -> None:
        super().resume()
        self.world.resumed(self.number)

    def _fork(self, worker: int, threads: int) -> None:
        if not self.alive or self.stands(self._fork, worker, threads):
            return
        if self.failing_forks:
            self.failing_forks -= 1
            self.child_ended(worker, "could not be forked")
            return
        if worker in self._killed:
            self.child_ended(worker, "killed at birth")
            return
        self._spawn(worker, threads)

    def _kill(self, worker: int) -> None:
        process = self.world.processes.get(worker)
        if process is None:
            self._killed.add(worker)
        elif process.alive:
            process.end("was killed by its node")

    def child_ended(self, client: int, cause: str, oom: bool = False) -> None:
        """Root, or a pidfd, reports an end; *oom*: the kernel's, for want of memory."""
        if not self.alive or self.stands(self.child_ended, client, cause, oom):
            return
        now = self.world.now
        self.world.note(f"node{self.number} hears that {who(client)} {cause}")
        if client in self.brain.pool:
            self._perform(self.brain.worker_gone(client, f"it {cause}", now, oom))
        else:
            self._perform(self.brain.client_gone(client, f"it {cause}", now))

    def short_of_memory(self, seen: Seen, looks: int) -> None:
        """So many looks show that memory is short."""
        if not self.alive or self.stands(self.short_of_memory, seen, looks):
            return
        now = self.world.now
        self._perform([*self.brain.guard.read(seen, now), *self.brain.tick(now)])
        if self.alive:
            self.plan()
        if looks > 1:
            self.world.at(MEMORY_LOOK, self.short_of_memory, seen, looks - 1)

    def die(self) -> None:
        """The whole machine is gone, or root has ended what is left of it."""
        if not self.alive:
            return
        super().die()
        for process in list(self.world.processes.values()):
            if process.number == self.number and process.alive:
                process.die()
        for key in list(self.world.carriers):
            if self.number in key:
                self.world.carriers[key].up = False
                self.world.carriers[key].epoch += 1
                self.world.carriers[key].diallers.clear()
                other = key[0] if key[1] == self.number else key[1]
                if self.world.nodes[other].alive:
                    self.world.nodes[other].links.disconnected(self.number)
