"""What loading a file would run, assessed by its content (docs/scan-gate.md)."""
