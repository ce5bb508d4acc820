"""A client's objects: their states, who holds them, and who has asked for them."""
