"""The scan gate: what a file would run when it is loaded, told by its content (format §32)."""
