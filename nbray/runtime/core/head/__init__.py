"""The head's brain: who is in the cluster, and where its actors live."""
