"""How errors look in a notebook, and the look back at where a task failed."""
