"""The baton: one holder at a time drives a client's sockets and brain.

Owns the lock, the waiting and the loop thread of a driver or worker. Does not
own decisions (the brain's) or sockets (`Post`'s).

Rules. Whoever waits drives: a caller blocked in `get`, or an idle executor,
polls the inbox itself, so that a reply wakes the thread that wants it and no
other. The loop thread steps in when nobody has driven for a millisecond, and
sleeps while somebody does. The lock is held only to touch brain and sockets,
never while polling or running user code. In the main thread handlers of signals
are held back while the lock is, and run right after. One that calls nbray while
its thread drives drives in that one's place.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import traceback
from collections.abc import Callable
from typing import assert_never

from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import ClientEffect, Forget, Send
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.client.held_signals import HeldSignals
from nbray.runtime.shell.client.quick_look import SPIN, QuickLook
from nbray.runtime.shell.process.sockets import Post
from nbray.wire.codec import CorruptFrame, client_decoder, encode
from nbray.wire.messages import ActorState, ToClient

IDLE_POLL = 0.1
"""Seconds between looks at dropped references while nothing happens."""
REST_POLL = 0.5
"""The same in a worker that has had nothing to do for a second: there may be hundreds."""
RESTS = 10
"""Looks in vain after which it rests."""
BUSY_POLL = 0.01
"""The same while work is in flight."""
NAP = 0.001
"""How long a driver must have been away before the loop thread steps in."""
HELD_SECONDS = 2.0
"""Seconds after which a thread that does not get the lock is taken for its holder."""
PARKED = 1.0
PARKED_BUSY = 0.2
"""Seconds between rounds of the loop thread while somebody drives (idle, and with work)."""
_MAIN = threading.main_thread().ident


class Loop(HeldSignals):
    """Drives *brain* over *post*. *handle* takes messages (the worker brain's, or the client's)."""

    def __init__(
        self,
        post: Post,
        brain: ClientBrain,
        handle: Callable[[ToClient, float], list[ClientEffect]],
        *,
        swap_handler: bool,
    ) -> None:
        super().__init__(swap_handler=swap_handler)
        self.post = post
        self.brain = brain
        self._handle = handle
        self._decode = client_decoder().decode
        self.lock = threading.Lock()
        self.now = time.monotonic
        """The clock by which everything over this loop goes."""
        self.closed = False
        self.corrupt = 0
        self.after: list[Callable[[float], list[ClientEffect]]] = []
        """Called in the loop thread on every round, under the lock."""
        self.busy: Callable[[], bool] = lambda: False
        """Whether this process runs something that must be looked after."""
        self.lone: Callable[[], bool] = lambda: brain.tasks.unfinished <= 1
        """Whether one call at a time goes to and fro, so that whoever waits may as well look."""
        self.busy_poll = BUSY_POLL
        self.rest_poll = IDLE_POLL
        self._quiet = 0
        """Polls in vain, one after the other."""
        self._driver = self._depth = 0
        """The thread that drives, and how often: a handler of a signal may wait while it does."""
        self._turns = 0
        self._woken = False
        self._parked = False
        self._handover = Flag()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        # A poll object serves one thread at a time: the loop thread has its own.
        self._poll, self._own_poll = self._polling(), self._polling()
        self._quick = QuickLook(self._poll)
        self._thread = threading.Thread(target=self._run, name="nbray-loop", daemon=True)

    def _polling(self) -> select.poll:
        poll = select.poll()
        poll.register(self.post.fd, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        return poll

    def start(self) -> None:
        """Start the loop thread."""
        self._thread.start()

    # -- the lock ------------------------------------------------------------------

    def _acquire(self) -> bool:
        """Take the lock; whether this is the main thread."""
        main = threading.get_ident() == _MAIN
        if main:
            self.critical = True
        self.lock.acquire()
        return main

    def _release(self, main: bool) -> None:
        self.lock.release()
        if main:
            self.critical = False
            if self.held:
                self.make_up()

    def held_here(self) -> bool:
        """Whether this thread may hold the lock, and must not wait for what others do under it.

        Any thread may be in the middle of something when garbage collection runs code of
        the user's; one that finds the lock taken for long is taken for its holder.
        """
        ident = threading.get_ident()
        if ident == _MAIN:
            return self.critical
        if ident == self._thread.ident:
            return True
        if not self.lock.acquire(timeout=HELD_SECONDS):
            return True
        self.lock.release()
        return False

    def locked(self, action: Callable[[], list[ClientEffect] | None]) -> None:
        """Run *action* under the lock and carry out its effects."""
        guarded = self._guard()
        try:
            main = self._acquire()
            try:
                effects = action()
                if effects:
                    self.perform(effects)
            finally:
                self._release(main)
        finally:
            if guarded:
                self._unguard()

    # -- one round ------------------------------------------------------------------

    def perform(self, effects: list[ClientEffect]) -> None:
        """Carry effects out. The lock is held."""
        send = self.post.send_frames
        for effect in effects:
            if type(effect) is Send:
                send(effect.to, [encode(effect.message)])
            elif type(effect) is Forget:
                self.post.forget(effect.client)
            else:
                assert_never(effect)

    def round(self) -> bool:
        """Take what has arrived, let the brain act, send. The lock is held. Whether news came."""
        now = time.monotonic()
        received = self.post.receive()
        effects: list[ClientEffect] = []
        lives: list[ActorState] = []
        for frames in received:
            try:
                message = self._decode(frames[-1])
            except CorruptFrame:
                self.corrupt += 1
                continue
            if type(message) is ActorState:
                lives.append(message)  # an actor's answers, which it sent before, may stand behind
            else:
                effects += self._handle(message, now)
        for message in lives:
            effects += self._handle(message, now)
        effects += self.brain.pump(now)
        deadline = self.brain.next_deadline()
        if deadline is not None and deadline <= now:
            effects += self.brain.tick(now)
            effects += self.brain.pump(now)
        if effects:
            self.perform(effects)
        return bool(received)

    def _timeout(self, deadline: float | None) -> int:
        """Milliseconds to poll."""
        now = time.monotonic()
        if self.brain.tasks.unfinished or self.busy():
            longest = self.busy_poll
        else:
            longest = IDLE_POLL if self._quiet < RESTS else self.rest_poll
        due = self.brain.next_deadline()
        if due is not None:
            longest = min(longest, due - now)
        if deadline is not None:
            longest = min(longest, deadline - now)
        retry = self.post.retry_at
        if retry is not None:
            longest = min(longest, retry - now)
        return max(0, int(longest * 1000 + 0.999))

    # -- submitting --------------------------------------------------------------------

    def flush(self) -> None:
        """Send what was submitted, now, from this thread."""
        guarded = self._guard()
        try:
            main = self._acquire()
            try:
                if self._driver or not self.brain.tasks.unfinished:
                    effects = self.brain.pump(time.monotonic())
                    if effects:
                        self.perform(effects)
                else:
                    self._turns += 1  # the loop thread need not step in
                    self.round()
            finally:
                self._release(main)
        finally:
            if guarded:
                self._unguard()

    def turn(self) -> None:
        """Take what has arrived, for a thread that polls `post.fd` by itself (an event loop)."""
        self._turns += 1
        main = self._acquire()
        try:
            if not self.closed:
                self.round()
        finally:
            self._release(main)

    def nudge(self) -> None:
        """Have the loop thread send what was submitted, soon."""
        if not self._woken:
            self._woken = True
            self.wake()

    def wake(self) -> None:
        """Wake whoever polls."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"x")
        if self._parked and not self._driver:
            self._handover.set()

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.read(self._wake_read, 4096)

    # -- waiting --------------------------------------------------------------------------

    def notify(self, event: Flag | None) -> Callable[[], None]:
        """What a `Group` calls when it is complete: wakes its waiter, if it is not this thread."""

        def wake() -> None:
            if event is not None:
                event.set()
            if self._driver != threading.get_ident():
                self.wake()

        return wake

    def wait(
        self,
        done: Callable[[], bool],
        deadline: float | None,
        event: Flag,
        start: Callable[[], list[ClientEffect]] | None = None,
    ) -> bool:
        """Wait until *done* or the deadline (monotonic seconds); drives if nobody else does.

        *start* runs first, under the lock. *event* is set by the `notify` callback of
        whatever is waited for. Returns whether *done*. Raises KeyboardInterrupt in the
        main thread.
        """
        guarded = self._guard()
        try:
            while start is not None or not done():
                if self.closed:
                    return False
                if self._begin(start):
                    try:
                        self._drive(done, deadline)
                    finally:
                        # Here and not in `_left`: a handler may run, and raise, when that begins.
                        self._depth -= 1
                        if not self._depth:
                            self._driver = 0
                        self._left()
                elif not done():
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        break
                    # Whoever drives sets the event; the bound covers a driver that leaves.
                    event.wait(0.05 if left is None else min(left, 0.05))
                start = None
                if deadline is not None and time.monotonic() >= deadline:
                    break
            return done()
        finally:
            if guarded:
                self._unguard()

    def _begin(self, start: Callable[[], list[ClientEffect]] | None) -> bool:
        """Run *start*; become the driver if there is none. Whether this thread is it now."""
        drives = False
        main = self._acquire()
        try:
            if start is not None:
                effects = start()
                if effects:
                    self.perform(effects)
            if self._driver in (0, threading.get_ident()) and not self.closed:
                self._driver = threading.get_ident()
                self._depth += 1
                drives = True
        finally:
            try:
                self._release(main)
            except BaseException:
                if drives:
                    self._depth -= 1
                    if not self._depth:
                        self._driver = 0
                    self._left()
                raise
        return drives

    def _left(self) -> None:
        if self._depth:
            self.wake()  # what was polled for may have been taken in here
            return
        self._turns += 1
        if self._parked:
            self._handover.set()

    def _drive(self, done: Callable[[], bool], deadline: float | None) -> None:
        quick, outer = self._quick, self._depth == 1
        poll = self._poll.poll if outer else self._polling().poll
        while not done() and not self.closed:
            began = time.monotonic()
            looks = quick.possible and outer and quick.worth_it(began, deadline) and self.lone()
            fired = quick.look(began) if looks else []
            if not fired:
                fired = poll(self._timeout(deadline))
                self._quiet = 0 if fired else self._quiet + 1
            quick.hopes = time.monotonic() - began < SPIN
            if len(fired) > 1 or (fired and fired[0][0] == self._wake_read):
                self._drain_wake()
                self._woken = False
            main = self._acquire()
            try:
                self.round()
            finally:
                self._release(main)
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _driven(self) -> bool:
        return self._driver != 0

    # -- the loop thread -----------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                self._stand_in()
                return
            except OSError:  # the system has refused something: the next round may do it
                if self.closed:
                    return
                with contextlib.suppress(OSError, ValueError):
                    traceback.print_exc()
                time.sleep(BUSY_POLL)
            except Exception as error:  # noqa: BLE001 - a thread's edge: whoever waits is told
                if self.closed:
                    return
                self.brain.end(f"nbray itself failed: {type(error).__name__}: {error}")
                self.wake()
                with contextlib.suppress(OSError, ValueError):
                    traceback.print_exc()
                return

    def _stand_in(self) -> None:
        seen = naps = 0
        while not self.closed:
            if self._driven():
                naps += 1
                if naps > 20:
                    self._parked = True
                    if self._driven():
                        self._handover.wait(PARKED_BUSY if self.busy() else PARKED)
                    self._parked = False
                    self._handover.clear()
                    naps = 10
                else:
                    time.sleep(NAP)
                self._extra()
                continue
            if self._turns != seen:
                seen = self._turns
                time.sleep(NAP)
                continue
            naps = 0
            fired = self._own_poll.poll(self._timeout(None))
            if self._driven() or self._turns != seen:
                continue  # whoever submits takes what comes, too
            if fired and any(fd == self._wake_read for fd, _ in fired):
                self._drain_wake()
                if self._woken:
                    time.sleep(NAP / 2)  # let a batch gather
                    self._woken = False
            with self.lock:
                if not self._driven() and not self.closed:
                    self.round()
                elif self.brain.submitted:
                    self.wake()  # the wake that was drained here was meant for the driver
            self._extra()

    def _extra(self) -> None:
        if not self.after:
            return
        with self.lock:
            if self.closed:
                return
            now = time.monotonic()
            for action in self.after:
                effects = action(now)
                if effects:
                    self.perform(effects)

    def close(self, linger: float = 0.2) -> None:
        """Stop the thread and close the sockets. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self.wake()
        self._handover.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2.0)
        main = self._acquire()
        try:
            self.post.close(linger)
        finally:
            self._release(main)
        # Whoever wakes it later must not write into a file that has got the number since.
        ends = self._wake_read, self._wake_write
        self._wake_read = self._wake_write = -1
        for end in ends:
            os.close(end)
