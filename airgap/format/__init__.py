"""The bundle format: bytes to values and back. Pure: no I/O, clock or randomness."""
