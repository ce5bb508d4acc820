"""What only a worker has: its queue, and what it lends while it waits."""
