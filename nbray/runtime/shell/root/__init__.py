"""Root: the fork server of one machine, which ends all that it has started."""
