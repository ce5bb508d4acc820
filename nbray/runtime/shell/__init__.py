"""The outside world: sockets, processes, threads and clocks around the pure brains."""
