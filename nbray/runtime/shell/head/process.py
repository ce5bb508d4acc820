"""The head's process: its brain over one inbox.

Owns nothing but the wiring. It speaks to everybody through the sockets of its
machine; what is for other machines its node forwards. What the system refuses
costs the one thing that it concerned, never the head.
"""

from __future__ import annotations

import select
import time
from pathlib import Path

from nbray.ids import HEAD
from nbray.runtime.core import versions
from nbray.runtime.core.effects import HeadEffect
from nbray.runtime.core.head.brain import HeadBrain
from nbray.runtime.shell.process.log import Notes
from nbray.runtime.shell.process.sockets import Post
from nbray.wire.codec import CorruptFrame, head_decoder


def main(directory: Path, cluster: int) -> None:
    """Serve until the process is killed (by root, with everything else)."""
    post = Post(HEAD, directory)
    brain = HeadBrain(cluster, versions.own())
    decode = head_decoder().decode
    notes = Notes()
    poll = select.poll()
    poll.register(post.fd, select.POLLIN)

    def carry_out(effects: list[HeadEffect]) -> None:
        for effect in effects:
            try:
                post.send(effect.to, effect.message)
            except OSError as error:
                notes.rarely(f"a message was lost: {error}", time.monotonic())

    while True:
        now = time.monotonic()
        planned = [at for at in (brain.next_deadline(), post.retry_at) if at is not None]
        due = min(planned, default=None)
        poll.poll(None if due is None else max(0.0, (due - now) * 1000 + 0.5))
        now = time.monotonic()
        for frames in post.receive():
            try:
                message = decode(frames[0])
            except CorruptFrame as error:
                notes.say(f"dropped a corrupt frame: {error}")
                continue
            carry_out(brain.handle(message, now))
        due = brain.next_deadline()
        if due is not None and due <= now:
            carry_out(brain.tick(now))
