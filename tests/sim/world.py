"""The simulated world: one seeded clock, pipes that lose what the dying sent, lossy carriers.

Owns virtual time, the random numbers, the order of events, the machines' pipes
and the stories. Does not own what processes do (`processes`). Rule: everything
random comes from `rng` and everything happens in an event, so that a seed is
one story, told the same way every time.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from nbray.config import MAX_FRAME, NODE_TIMEOUT
from nbray.ids import HEAD, client_hex, is_driver, local_of, node_of
from nbray.wire.messages import Load, Members, Picture

_DULL = (Load, Members, Picture)
STORY = 40
"""How many of its last messages each process remembers."""


class SimFailure(AssertionError):
    """The brains broke a promise; the text carries the seed and the stories."""


def who(client: int) -> str:
    """A short name for a process: 'head', 'node2', 'w1.3' or 'd1'."""
    if client == HEAD:
        return "head"
    node, local = node_of(client), local_of(client)
    if is_driver(client):
        return f"d{node}.{local & 0xFF}"
    return f"w{node}.{local}" if local else f"node{node}"


class Pipe:
    """One direction between two processes of a machine: in order, cut when an end dies."""

    __slots__ = ("arrives", "in_flight")

    def __init__(self) -> None:
        self.arrives = 0.0
        self.in_flight: deque[list[Any]] = deque()


class Carrier:
    """The connection between two nodes: it loses what is in flight whenever it breaks."""

    def __init__(self) -> None:
        self.up = False
        self.epoch = 0
        self.broke = 0.0
        self.diallers: set[int] = set()
        """The nodes, of the two, that dial again whenever it is broken."""
        self.arrives: dict[int, float] = {}
        self.stalled: list[tuple[Any, ...]] = []
        """Sent while nothing gets through; the kernels try again, until they give up."""


class World:
    """Time, chance and the wires between processes."""

    def __init__(self, seed: int, lossy: bool = False, small: bool = False) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.lossy = lossy
        self.small = small
        """Nodes have stores that do not hold much: the rest goes to disk."""
        self.now = 0.0
        self.steps = 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._serial = 0
        self.processes: dict[int, Any] = {}
        self.nodes: dict[int, Any] = {}
        self._pipes: dict[tuple[int, int], Pipe] = {}
        self.carriers: dict[tuple[int, int], Carrier] = {}
        self.apart: Counter[tuple[int, int]] = Counter()
        """Pairs of machines that do not reach each other, and for how many reasons."""
        self.hub = getcurrent()
        """What runs the events; threads of processes are switched to from there."""
        self.threads: list[Any] = []
        self.over = False
        """The story has been told: what is left is taken down."""
        self.failure: SimFailure | None = None
        self.pins: dict[int, Any] = {}
        """By client, what it has pinned of its node's store (see `disks`)."""
        self.segments: dict[tuple[int, int], Any] = {}
        """(node, segment) -> memory."""
        self.chunks: dict[tuple[int, int], set[int]] = {}
        """(node, generation) -> which chunks of a slot have been written that comes from afar."""
        self.ran: Counter[tuple[int, int]] = Counter()
        """(caller, seq) -> how often user code was started."""
        self.charged: dict[tuple[int, int], int] = {}
        """(caller, seq) -> most starts that its retries allow."""
        self.stories: defaultdict[int, deque[tuple[float, str, int, Any]]] = defaultdict(
            lambda: deque(maxlen=STORY)
        )
        self.notes: deque[str] = deque(maxlen=200)
        self.faults: list[str] = []
        self.on_step: Callable[[], None] = lambda: None

    # -- time ---------------------------------------------------------------------

    def at(self, delay: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do *action* in *delay* seconds."""
        self._serial += 1
        heapq.heappush(self._events, (self.now + delay, self._serial, action, arguments))

    def run(self, until: Callable[[], bool], limit: float) -> bool:
        """Let events happen until *until*, for *limit* virtual seconds at most."""
        end = self.now + limit
        events = self._events
        while not until():
            if not events or events[0][0] > end:
                self.now = end
                return until()
            self.now, _, action, arguments = heapq.heappop(events)
            self.steps += 1
            action(*arguments)
            if self.failure is not None:  # whatever code caught it
                raise self.failure
            self.on_step()
        return True

    def end(self) -> None:
        """Take down what is left of the processes' threads and memory."""
        self.over = True
        for thread in self.threads:
            thread.close()
        for process in self.processes.values():
            process.forget()
        self.threads.clear()
        self.segments.clear()
        self.pins.clear()
        self._events.clear()

    def rest(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.run(lambda: False, seconds)

    def delay(self) -> float:
        """How long something takes on one machine: mostly little, now and then long."""
        chance = self.rng.random()
        if chance < 0.9:
            return 5e-5 + 5e-4 * self.rng.random()
        return 0.003 * self.rng.random() if chance < 0.995 else 0.03 * self.rng.random()

    # -- telling ------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Remember something that happened."""
        self.notes.append(f"{self.now:.6f} {text}")

    def fault(self, text: str) -> None:
        """Remember that something was broken on purpose."""
        self.faults.append(f"{self.now:.6f} {text}")
        self.note(f"FAULT {text}")

    def fail(self, text: str) -> None:
        """Raise with the story."""
        if self.over:
            return
        self.failure = self.failure or SimFailure(
            f"seed {self.seed} at {self.now:.6f}: {text}\n{self.story()}"
        )
        raise self.failure

    def story(self) -> str:
        """What each process did last."""
        lines = ["faults:", *(f"  {line}" for line in self.faults), "notes:"]
        lines += [f"  {line}" for line in list(self.notes)[-60:]]
        for client in sorted(self.stories):
            lines.append(f"{who(client)} ({client_hex(client)}):")
            for time, way, other, message in self.stories[client]:
                text = repr(message)
                text = text if len(text) < 300 else text[:300] + "..."
                lines.append(f"  {time:.6f} {way} {who(other)}: {text}")
        return "\n".join(lines)

    def tell(self, client: int, way: str, other: int, message: Any) -> None:
        """Add a line to a process's story (what tells nothing of work is left out)."""
        if type(message) in _DULL:
            return
        self.stories[client].append((self.now, way, other, message))

    # -- pipes of one machine -------------------------------------------------------

    def pipe(self, sender: int, receiver: int, frames: list[Any]) -> None:
        """Put frames into the pipe; they arrive in order, unless the sender dies first."""
        pipe = self._pipes.get((sender, receiver))
        if pipe is None:
            pipe = self._pipes[sender, receiver] = Pipe()
        pipe.arrives = max(pipe.arrives + 1e-7, self.now + self.delay())
        letter = [frames, False]
        pipe.in_flight.append(letter)
        self.at(pipe.arrives - self.now, self._deliver, pipe, letter, sender, receiver)

    def _deliver(self, pipe: Pipe, letter: list[Any], sender: int, receiver: int) -> None:
        if pipe.in_flight and pipe.in_flight[0] is letter:
            pipe.in_flight.popleft()
        if letter[1]:
            return
        process = self.processes.get(receiver)
        if process is not None and process.alive:
            process.arrived(letter[0])

    def cut_pipes(self, client: int) -> None:
        """A process died: of each of its pipes, a random part of what it sent last is lost."""
        for (sender, _), pipe in self._pipes.items():
            if sender == client and pipe.in_flight:
                kept = self.rng.randint(0, len(pipe.in_flight))
                for letter in list(pipe.in_flight)[kept:]:
                    letter[1] = True

    # -- carriers between machines ------------------------------------------------------

    def carrier(self, a: int, b: int) -> Carrier:
        """The connection of two nodes."""
        key = (min(a, b), max(a, b))
        carrier = self.carriers.get(key)
        if carrier is None:
            carrier = self.carriers[key] = Carrier()
        return carrier

    def dial(self, a: int, b: int) -> None:
        """Node *a* keeps up a connection to node *b* from now on, whenever the machines meet."""
        self.carrier(a, b).diallers.add(a)

    def hang_up(self, a: int, b: int) -> None:
        """And no longer: what *b* keeps up itself stands."""
        carrier = self.carriers.get((min(a, b), max(a, b)))
        if carrier is not None:
            carrier.diallers.discard(a)
            if not carrier.diallers:
                self.disconnect(a, b, 1e9)

    def connect(self, a: int, b: int) -> None:
        """Both ends see that the connection stands, if one of them keeps it up."""
        carrier = self.carrier(a, b)
        ends = [self.nodes[n] for n in (a, b) if n in self.nodes and self.nodes[n].alive]
        if not carrier.diallers or carrier.up or len(ends) < 2:
            return
        if self.are_apart(a, b) or any(end.paused for end in ends):
            return
        carrier.up = True
        carrier.epoch += 1
        carrier.arrives.clear()
        self.nodes[a].links.connected(b)
        self.nodes[b].links.connected(a)

    def disconnect(self, a: int, b: int, pause: float) -> None:
        """The connection breaks, and comes back after *pause* seconds unless it is cut."""
        carrier = self.carrier(a, b)
        if not carrier.up:
            return
        carrier.up = False
        carrier.epoch += 1
        carrier.stalled.clear()
        for here, there in ((a, b), (b, a)):
            if self.nodes[here].alive:
                self.nodes[here].links.disconnected(there)
        self.at(pause, self._again, a, b, carrier.epoch)

    def _again(self, a: int, b: int, epoch: int) -> None:
        if self.carrier(a, b).epoch == epoch:
            self.connect(a, b)

    def machine(self, node: int) -> int:
        """The machine that a node runs on: the number of the first node there."""
        return int(self.nodes[node].machine)

    def are_apart(self, a: int, b: int) -> bool:
        """Whether nothing gets from node *a* to node *b*."""
        pair = sorted((self.machine(a), self.machine(b)))
        return self.apart[pair[0], pair[1]] > 0

    def _between(self, one: int, other: int) -> list[tuple[int, int]]:
        """The carriers between two machines, as pairs of nodes."""
        return [
            pair for pair in self.carriers
            if sorted(self.machine(node) for node in pair) == sorted((one, other))
        ]  # fmt: skip

    def part(self, one: int, other: int, silent: bool = False) -> None:
        """Machines lose each other. *silent*: at first the connections still seem to stand."""
        pair = min(one, other), max(one, other)
        self.apart[pair] += 1
        for a, b in self._between(one, other):
            carrier = self.carrier(a, b)
            if not silent:
                self.disconnect(a, b, 1e9)
            elif carrier.up:
                self.at(NODE_TIMEOUT, self._give_up, a, b, carrier.epoch)

    def _give_up(self, a: int, b: int, epoch: int) -> None:
        if self.carrier(a, b).epoch == epoch and (
            self.are_apart(a, b) or self.nodes[a].paused or self.nodes[b].paused
        ):
            self.disconnect(a, b, 1e9)

    def meet(self, one: int, other: int) -> None:
        """Machines reach each other again."""
        pair = min(one, other), max(one, other)
        self.apart[pair] -= 1
        if self.apart[pair]:
            return
        for a, b in self._between(one, other):
            carrier = self.carrier(a, b)
            for letter in carrier.stalled:
                self.at(0.2 * self.rng.random(), self._carried, *letter)
            carrier.stalled.clear()
            # Dialling is tried again now and then.
            self.at(2 * self.rng.random(), self.connect, a, b)

    def paused(self, node: int) -> None:
        """A node's process stands still: what keeps its connections up does not notice yet."""
        for a, b in list(self.carriers):
            if node in (a, b) and self.carrier(a, b).up:
                self.at(NODE_TIMEOUT, self._give_up, a, b, self.carrier(a, b).epoch)

    def resumed(self, node: int) -> None:
        """And goes on."""
        for a, b in list(self.carriers):
            if node in (a, b):
                self.at(2 * self.rng.random(), self.connect, a, b)

    def transmit(self, a: int, b: int, frames: list[Any], bulk: bool) -> bool:
        """Carry frames from node *a* to node *b*; False if no connection stands."""
        carrier = self.carrier(a, b)
        for frame in frames:
            if len(frame) > MAX_FRAME:
                self.fail(f"node{a} sends node{b} a frame of {len(frame)} bytes")
        if not carrier.up:
            return False
        rng = self.rng
        if self.are_apart(a, b):
            carrier.stalled.append((carrier, carrier.epoch, a, b, frames, bulk))
            return True
        if self.lossy and rng.random() < 0.004 and self.now > carrier.broke + 0.3:
            # ZeroMQ loses by breaking: what is in flight goes with the connection.
            carrier.broke = self.now
            self.note(f"carrier {a}-{b} breaks")
            self.disconnect(a, b, 0.05 * rng.random())
            return False
        lane = a * 2 + bulk
        arrives = max(carrier.arrives.get(lane, 0.0) + 1e-7, self.now + 2e-4 + 2 * self.delay())
        carrier.arrives[lane] = arrives
        copies = 2 if self.lossy and rng.random() < 0.01 else 1
        for copy in range(copies):
            late = copy * 0.01 * rng.random()
            self.at(
                arrives - self.now + late, self._carried, carrier, carrier.epoch, a, b, frames, bulk
            )
        return True

    def _carried(
        self, carrier: Carrier, epoch: int, a: int, b: int, frames: list[Any], bulk: bool
    ) -> None:
        node = self.nodes.get(b)
        if carrier.epoch == epoch and node is not None and node.alive:
            node.links.carried(a, frames, bulk)
