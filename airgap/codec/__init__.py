"""Stored bytes to plain bytes and back, bounded by a length known beforehand (format §5.2)."""
