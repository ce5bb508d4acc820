"""What travels: message structs, their codec, pickled values, the secret."""
