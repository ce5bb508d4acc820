"""A worker: a process that runs users' code, beside being a client."""
