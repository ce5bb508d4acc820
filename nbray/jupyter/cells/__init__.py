"""Which cell runs, what it is called, who looks at it, and how output lands under it; Stop."""
