"""The head's brain on a stage, for its playbooks."""

from __future__ import annotations

from nbray.events import Figures
from nbray.ids import DRIVER_FLAG, client_id, node_client
from nbray.options import UNIT
from nbray.runtime.core.effects import Effect, Send
from nbray.runtime.core.head.brain import HeadBrain
from nbray.wire import messages as m

VERSIONS = m.Versions(1, "3.11.7", "0.1")
ANNA = client_id(1, DRIVER_FLAG | 1)
BEN = client_id(2, DRIVER_FLAG | 2)
CPU = {"CPU": UNIT}


def info(number: int, cpus: int = 2, **more: int) -> m.NodeInfo:
    shape = {"CPU": cpus * UNIT, **{k: v * UNIT for k, v in more.items()}}
    return m.NodeInfo(number, f"m{number}", f"10.0.0.{number}", 7000, shape, dict(shape))


class Play:
    """A head with node 1 on a stage."""

    def __init__(self, nodes: int = 1) -> None:
        self.brain = HeadBrain(77, VERSIONS)
        self.now = 50.0
        self.sent: list[tuple[int, object]] = []
        self.say(m.Join(node_client(1), 0, info(1), VERSIONS))
        for number in range(2, nodes + 1):
            self.say(m.Join(0, number, info(0), VERSIONS))
        self.tick(1)
        self.sent.clear()

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            assert isinstance(effect, Send)
            self.sent.append((effect.to, effect.message))
        self.brain.check()

    def say(self, message: object) -> None:
        self.do(self.brain.handle(message, self.now))  # type: ignore[arg-type]

    def tick(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.brain.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.do(self.brain.tick(self.now))
        self.now = end

    def take(self, kind: type, to: int | None = None) -> list:  # type: ignore[type-arg]
        found = [x for x in self.sent if isinstance(x[1], kind) and to in (None, x[0])]
        self.sent = [x for x in self.sent if x not in found]
        return [message for _, message in found]

    def load(self, node: int, free: dict[str, int]) -> None:
        self.say(m.Load(node_client(node), free, Figures(cpu_percent=10)))


def spec(actor: int = 5, owner: int = ANNA, **more) -> m.ActorSpec:  # type: ignore[no-untyped-def]
    fields = {
        "owner": owner, "actor": actor, "name": "", "namespace": "", "class_name": "A",
        "function": b"", "blob": b"", "args": m.Value(), "args_ref": (owner, 6), "deps": [],
        "resources": {}, "placement": CPU, "max_restarts": 0, "max_concurrency": 1,
        "detached": False, "get_if_exists": False, "info": b"i", "cell": "", "job": owner,
        **more,
    }  # fmt: skip
    return m.ActorSpec(**fields)


def started(play: Play) -> tuple[int, m.StartActor]:
    ((to, start),) = [x for x in play.sent if isinstance(x[1], m.StartActor)]
    play.take(m.StartActor)
    return to, start
