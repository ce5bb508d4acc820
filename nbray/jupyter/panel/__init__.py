"""`nbray.panel()`, its buttons, and what they do."""
