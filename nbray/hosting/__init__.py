"""Users' code in a process that is not theirs: what every engine's workers need for it."""
