"""Loading msgspec without typing_extensions, where neither is loaded yet.

Owns nothing else. msgspec asks that for what `typing` has had since Python 3.11, and it takes a
twentieth of `import nbray`. Rule: only while there is one thread, for another one might be
importing it.
"""

from __future__ import annotations

import sys
from _thread import _count

if not ({"msgspec", "typing_extensions"} & sys.modules.keys() or _count()):
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401
    except ImportError:
        pass  # a version that needs it: it is imported later
    finally:
        del sys.modules["typing_extensions"]
