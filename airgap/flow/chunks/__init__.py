"""Chunks from base bundles and installed items; tensors and their differences (format §5.2)."""
