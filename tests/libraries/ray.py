"""nbray under Ray's name, for libraries that import it."""

import sys

import nbray

sys.modules["ray"] = nbray
