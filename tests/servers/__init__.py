"""Servers for tests: real ones of other makers, and what breaks the way to them."""
