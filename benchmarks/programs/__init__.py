"""Programs that measure, each run as a whole process. `MODULE [ROW ...]` in, JSON lines out."""
