"""A node's brain on a stage, for its playbooks."""

from __future__ import annotations

from nbray.ids import DRIVER_FLAG, HEAD, client_id
from nbray.options import UNIT
from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.brain import NodeBrain
from nbray.runtime.core.node.settings import NodeConfig
from nbray.runtime.core.node.store.slots import StoreBooks
from nbray.wire import messages as m

VERSIONS = m.Versions(1, "3.11.7", "0.1")
CPU = {"CPU": UNIT}
ANNA = client_id(1, DRIVER_FLAG | 1)
BEN = client_id(1, DRIVER_FLAG | 2)
FAR = client_id(2, DRIVER_FLAG | 1)


def actor(number: int) -> m.StartActor:
    """The head places Anna's actor *number* on the node."""
    spec = m.ActorSpec(
        owner=ANNA, actor=number, name="", namespace="", class_name="A", function=b"", blob=b"",
        args=m.Value(), args_ref=(0, 0), deps=[], resources={}, placement=CPU, max_restarts=0,
        max_concurrency=1, detached=False, get_if_exists=False, info=b"", cell="", job=ANNA, node=0,
    )  # fmt: skip
    return m.StartActor(HEAD, spec, 0)


class Play:
    """A node on a stage: registers forked workers by itself, unless told not to."""

    def __init__(
        self, cpus: int = 2, number: int = 1, others: dict[int, int] | None = None, ready: int = 0,
        cap: int = 64, gpus: int = 0, auto: bool = True, owner: int = 0,
    ) -> None:
        total = {"CPU": cpus * UNIT, **({"GPU": gpus * UNIT} if gpus else {})}
        info = m.NodeInfo(number, f"m{number}", "10.0.0.1", 7000, total, total)
        settings = NodeConfig(number, 99, info, VERSIONS, "10.0.0.1:6379", cap, ready, owner)
        self.brain = NodeBrain(settings, StoreBooks(1 << 30, number))
        self.now = 100.0
        self.auto = auto
        self.sent: list[tuple[int, object]] = []
        self.effects: list[fx.Effect] = []
        self.forked: list[int] = []
        self.do(self.brain.start(self.now))
        self.members = {number: info}
        for other, count in (others or {}).items():
            shape = {"CPU": count * UNIT}
            self.members[other] = m.NodeInfo(other, f"m{other}", "10.0.0.2", 7000, shape, shape)
        if others:
            self.say(m.Members(HEAD, list(self.members.values())))
        self.sent.clear()

    def do(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, fx.Send):
                self.sent.append((effect.to, effect.message))
            elif isinstance(effect, fx.Fork):
                self.forked.append(effect.worker)
        self.brain.check()
        while self.auto and self.forked:
            self.register(self.forked.pop(0))

    def say(self, message: object) -> None:
        self.do(self.brain.handle(message, self.now))  # type: ignore[arg-type]

    def register(self, client: int, driver: bool = False) -> None:
        self.say(m.Register(client, client & 0xFFFF, driver, VERSIONS))

    def tick(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.brain.next_deadline(self.now)) is not None and due <= end:
            self.now = max(self.now, due) + 1e-6
            self.do(self.brain.tick(self.now))
        self.now = max(self.now, end)

    def take(self, kind: type, to: int | None = None) -> list:  # type: ignore[type-arg]
        found = [x for x in self.sent if isinstance(x[1], kind) and to in (None, x[0])]
        self.sent = [x for x in self.sent if x not in found]
        return [message for _, message in found]

    def granted(self, to: int) -> list[m.Granted]:
        return self.take(m.Granted, to)

    def kills(self) -> list[int]:
        found = [e.worker for e in self.effects if isinstance(e, fx.Kill)]
        self.effects = [e for e in self.effects if not isinstance(e, fx.Kill)]
        return found

    def demand(self, client: int, count: int, shape: int = 1, resources=CPU, **more) -> None:  # type: ignore[no-untyped-def]
        self.say(m.Demand(client, shape, resources, count, **more))

    def give_back(self, client: int, grant: m.Granted) -> None:
        self.say(m.Returned(client, grant.lease, grant.worker))


def with_two_drivers() -> Play:
    """A node of two CPUs that Anna and Ben use."""
    made = Play()
    made.register(ANNA, driver=True)
    made.register(BEN, driver=True)
    made.sent.clear()
    return made
