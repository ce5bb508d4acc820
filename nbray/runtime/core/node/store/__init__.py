"""The books of a node's object store, and what moves between nodes."""
