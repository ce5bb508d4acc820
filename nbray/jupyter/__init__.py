"""The notebook surface: cells, magics, progress bars, the panel."""
