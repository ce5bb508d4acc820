"""What a driver and a worker have alike: the Engine protocol over a client's sockets and brain."""
