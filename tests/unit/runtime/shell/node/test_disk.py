"""What a node has on disk: made, written, read and given back by threads, never by its loop."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.store.disk import Disk
from nbray.runtime.core.node.store.slots import StoreBooks
from nbray.runtime.core.node.store.storage import Storage
from nbray.runtime.shell.machine.descriptors import Room
from nbray.runtime.shell.node.store import Store
from nbray.runtime.store.segments import MEMFD
from nbray.wire import messages as m

MB = 1 << 20
ME, OTHER = 1 << 32, (2 << 32)
pytestmark = pytest.mark.skipif(not MEMFD, reason="files have names there")


class Play:
    """A node's store over a real folder."""

    def __init__(self, folder: Path, room: int = 100) -> None:
        self.folder = folder
        books = StoreBooks(MB, 1, MB, Disk(str(folder), file=8 * MB))
        self.storage = Storage(ME, books)
        self.store = Store(self.storage, str(folder), Room(lambda: 0, lambda: 1000 + room))
        self.got: list[Any] = []
        self.sent: list[Any] = []
        self.bulk: list[tuple[fx.SendBulk, bytes]] = []

    def do(self, effects: list[fx.NodeEffect]) -> None:
        todo = list(effects)
        while todo:
            effect = todo.pop(0)
            if isinstance(effect, fx.Send):
                self.sent.append(effect.message)
            elif isinstance(effect, fx.SendBulk):
                self.store.read(effect, lambda of, data: self.bulk.append((of, b"".join(data))))
            else:
                todo += self.store.carry_out(effect)

    def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            fd = self.store._files.fd
            assert select.select([fd], [], [], 60)[0], "nothing came of it"
            self.do(self.store.outcomes({fd}))

    def wants(self, size: int) -> None:
        self.got.clear()

        def done(slot: Any) -> list[fx.NodeEffect]:
            self.got.append(slot)
            return []

        self.do(self.storage.allocate(ME, size, ME, done))

    def put(self, data: bytes) -> m.Slot:
        self.wants(len(data))
        assert not self.got, "the loop does not wait for the disk"
        self.until(lambda: self.got)
        slot: m.Slot = self.got[0]
        self.store.write(slot, 0, [data])
        return slot

    def ask(self, slot: m.Slot) -> None:
        chunk = m.Chunk(ME, 7, 0)
        self.do([fx.SendBulk(OTHER, chunk, slot, 0, slot.size)])


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    folder = tmp_path / "spill"
    folder.mkdir()
    play = Play(folder)
    yield play
    play.store.close()


def test_an_object_on_disk_is_read_for_others_by_a_thread(play: Play) -> None:
    data = bytes(range(256)) * (3 * MB // 256)
    slot = play.put(data)
    assert slot.on_disk
    play.ask(slot)
    assert not play.bulk
    play.until(lambda: play.bulk)
    assert play.bulk[0][1] == data
    assert not list(play.folder.iterdir())


def test_what_was_freed_while_it_was_read_is_not_sent(play: Play) -> None:
    slot = play.put(b"a" * 3 * MB)
    play.ask(slot)
    play.storage.free([slot])
    play.until(lambda: play.sent)
    assert play.sent[0].why == "the object has been freed there"
    assert not play.bulk


def test_a_folder_that_was_removed_is_made_again_and_one_that_cannot_be_says_so(
    play: Play,
) -> None:
    play.folder.rmdir()
    play.put(b"a" * 3 * MB)
    assert play.folder.is_dir()
    play.folder.rmdir()
    play.folder.touch()
    play.wants(300 * MB)
    play.until(lambda: play.got)
    assert "takes no file: Not a directory" in play.got[0].reason
    assert play.storage.spilling.refused


def test_a_look_at_the_disk_comes_later_and_once(play: Play) -> None:
    play.put(b"a" * 3 * MB)
    disk = play.storage.books.disk
    assert disk is not None
    assert disk.left is not None
    disk.left = None
    play.store.look()
    play.store.look()
    play.until(lambda: disk.left)


def test_without_a_descriptor_there_is_no_file(tmp_path: Path) -> None:
    play = Play(tmp_path, room=-995)
    play.wants(3 * MB)
    assert "ulimit -n" in play.got[0].reason
