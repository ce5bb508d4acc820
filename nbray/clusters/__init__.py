"""Clusters as users know them: found, started, grown, shrunk, ended, and attached to.

Owns the vocabulary (`record`, `cluster`), what a place to start nodes must do
(`launcher`), and what is done with it for the user (`manager`). The run
directory of this machine is the first such place (`local`); another one is a
file beside it. Does not own processes nor records' files: those are the
engine's.

Rule: only `local` asks `nbray.engine.load` for the native engine by its name.
"""
