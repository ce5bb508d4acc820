"""Between machines: addresses, the encrypted port of a node, and the links over it."""
