"""The object store of one machine: its shared memory (the books over it are `core.slots`)."""
