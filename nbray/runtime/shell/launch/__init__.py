"""Starting a machine's part of a cluster, and finding it again, from a driver or a terminal."""
