"""The object store of one machine: shared memory, and the books over it."""
