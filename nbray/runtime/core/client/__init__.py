"""What a driver and a worker have in common: their tasks, actors and objects."""
