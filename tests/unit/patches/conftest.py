"""An IPython shell that nbray has not been loaded into."""

from __future__ import annotations

from ipython_shell import shell as shell
