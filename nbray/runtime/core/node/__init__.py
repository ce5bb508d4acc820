"""A node's brain: one machine's processes, work and store, and what it tells others."""
