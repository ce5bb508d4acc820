"""Which of many descriptors can be read or written, as one descriptor that can itself be polled.

Owns the difference between Linux (epoll) and macOS (kqueue). Level-triggered:
what is not drained is reported again.
"""

from __future__ import annotations

import select
import sys

if sys.platform == "linux":

    class Readiness:
        """A set of descriptors to watch; `fd` is readable while one of them is ready."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self.fd = self._epoll.fileno()

        def watch(self, fd: int) -> None:
            """Report *fd* while it can be read."""
            self._epoll.register(fd, select.EPOLLIN)

        def watch_writing(self, fd: int) -> None:
            """Report *fd* while it can be written."""
            self._epoll.register(fd, select.EPOLLOUT)

        def forget(self, fd: int) -> None:
            """Report *fd* no longer."""
            self._epoll.unregister(fd)

        def ready(self) -> list[int]:
            """The descriptors that are ready now."""
            return [fd for fd, _ in self._epoll.poll(0)]

        def close(self) -> None:
            """Stop watching."""
            self._epoll.close()

else:

    class Readiness:
        """A set of descriptors to watch; `fd` is readable while one of them is ready."""

        def __init__(self) -> None:
            self._kqueue = select.kqueue()
            self._filters: dict[int, int] = {}
            self.fd = self._kqueue.fileno()

        def _control(self, fd: int, kind: int, flags: int) -> None:
            self._kqueue.control([select.kevent(fd, kind, flags)], 0)

        def watch(self, fd: int) -> None:
            """Report *fd* while it can be read."""
            self._filters[fd] = select.KQ_FILTER_READ
            self._control(fd, select.KQ_FILTER_READ, select.KQ_EV_ADD)

        def watch_writing(self, fd: int) -> None:
            """Report *fd* while it can be written."""
            self._filters[fd] = select.KQ_FILTER_WRITE
            self._control(fd, select.KQ_FILTER_WRITE, select.KQ_EV_ADD)

        def forget(self, fd: int) -> None:
            """Report *fd* no longer."""
            self._control(fd, self._filters.pop(fd), select.KQ_EV_DELETE)

        def ready(self) -> list[int]:
            """The descriptors that are ready now."""
            return [event.ident for event in self._kqueue.control(None, 256, 0)]

        def close(self) -> None:
            """Stop watching."""
            self._kqueue.close()
