"""`%%remote`: its line, its names, its values, its run, its handles."""
