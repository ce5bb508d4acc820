"""Pure brains: messages and time in, effects out. No sockets, threads, clocks or chance."""
