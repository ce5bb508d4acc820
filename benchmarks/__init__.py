"""Benchmarks: what nbray promises, measured. `python -m benchmarks [ROW ...]`."""
