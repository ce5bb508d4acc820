"""The outside world: sockets, processes, threads and clocks around the pure brains.

Rooms by process: `root` (the fork server), `head`, `node`, `worker`; `client` is what a driver and
a worker have alike, `launch` how a driver or the command line starts and finds all this. Below them
what they share: `network` (between machines), `process` (between processes of one machine, and what
each has of its own), `machine` (what it has, what is left of it).
"""
