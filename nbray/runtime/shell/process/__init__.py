"""What every process of a cluster has: sockets on its machine, a log, an eye on others' ends."""
