"""What nbray changes in other people's modules and objects, and how it is put back.

Owns all such changes: who wants to know what nbray does to a process finds it here. Does not
own what stands in the place: a patch is told that by who installs it. Rules: a patch is put
in place by a call and never by an import; taken back, all is as it was; and what somebody
else has put in the same place since is left alone.

| module | replaces |
| --- | --- |
| `threads` | `Thread.start`, `ThreadPoolExecutor.submit`: threads work for who starts them |
| `signal_handlers` | `signal.signal`, `signal.getsignal`: handlers run between nbray's steps |
| `process_end` | `os._exit`, `os.kill`: an actor that ends itself has answered before |
| `interpreter` | `sys.executable`, `sys.prefix`: in a worker, those of its virtual environment |
| `ipython_display` | the builtin `display`, IPython's functions of that name, in workers |
| `tqdm_notebook` | the methods of tqdm's bars of widgets, in workers that show one |
| `ipython_errors` | a shell's handler of errors |
| `ipython_inspector` | what a shell's Shift-Tab looks at |
"""

from __future__ import annotations

from typing import Any


class Replaced:
    """One attribute *name* of *owner*, which is somebody else's, and what stood there before.

    Attributes:
        before: what stood there; for what stands there now to call.
        active: whether it is wanted. One that has been taken back while another's stood over it
            may still be called, and then only hands on.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name
        self._own: Any = None
        self._was_its_own = False
        self.before: Any = None
        self.active = False

    def put(self, new: Any) -> None:
        """Put *new* there. Idempotent."""
        self.active = True
        # Ours is there, or below somebody else's, unless it was overwritten with what it replaced.
        now = getattr(self._owner, self._name, None)
        if self._own is None or now == self.before:
            self._was_its_own = self._name in vars(self._owner)
            self.before = now
            self._own = new
            setattr(self._owner, self._name, new)

    def take_back(self) -> None:
        """Have what was there before, unless somebody else has replaced ours. Idempotent."""
        self.active = False
        if self._own is None or vars(self._owner).get(self._name) is not self._own:
            return
        self._own = None
        if self._was_its_own:
            setattr(self._owner, self._name, self.before)
        else:
            delattr(self._owner, self._name)
