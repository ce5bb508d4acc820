"""Who gets what is free on a node: leases, workers, actors, and what other nodes are asked."""
