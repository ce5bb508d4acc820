"""Ray's `ray.util.ray_debugpy`: the same stop as `nbray.util.pdb`, by another name.

Owns the name. Ray attaches an editor by debugpy here; nbray has its own remote debugger.
"""

from __future__ import annotations

from nbray.util.rpdb import post_mortem, set_trace

__all__ = ["post_mortem", "set_trace"]
