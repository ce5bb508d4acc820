"""Links between nodes over carriers that lose messages; who may hold a connection."""
