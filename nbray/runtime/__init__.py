"""The native runtime: brains in `core`, memory in `store`, the outside world in `shell`."""
