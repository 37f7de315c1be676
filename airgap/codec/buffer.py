"""The type of bytes on their way in."""

__all__ = ["Buffer"]

Buffer = bytes | memoryview
"""Bytes. A view may be of a whole pack, which stays in memory for as long."""
