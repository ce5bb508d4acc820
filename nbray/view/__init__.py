"""Snapshots to HTML and plain text: pure functions over `nbray.events`.

Owns how things look, in one place for the notebook, the terminal, the sidebar
and the dashboard. Does not own when they are shown. Rule: no clock, no IO, no
state; the same arguments give the same text.
"""
