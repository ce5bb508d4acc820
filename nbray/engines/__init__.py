"""What runs the work: one module each, found by `nbray.engine.load`."""
