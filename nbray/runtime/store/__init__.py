"""The object store of one machine: its shared memory (the books are `core.node.store.slots`)."""
