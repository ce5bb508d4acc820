"""The machine: what it has, what its groups leave of it, and what is left."""
