"""The node: the process that places a machine's work and keeps its shared memory."""
