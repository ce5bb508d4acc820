"""The head: the process that knows the whole cluster."""
