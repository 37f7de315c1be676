"""The type of stored and decoded bytes on import."""

__all__ = ["Buffer"]

Buffer = bytes | memoryview
"""A memoryview may refer to a whole pack, which stays in memory as long as the view does."""
